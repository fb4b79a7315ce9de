//! The server's address as given: `http://HOST[:PORT]`, nothing else.
//!
//! TLS ends at the balancer, so `https` is refused rather than spoken badly. Names are resolved by `run`.

/// Why a URL is not one of a server. None of the texts repeats the URL: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("must begin with `http://`; TLS is not spoken, point at the server behind the balancer")]
    Scheme,
    #[error("must not hold a user name or password; keys go into --key-file")]
    UserInfo,
    #[error("must end after the port; the paths are fixed by the contract")]
    Path,
    #[error("has no usable host; write http://HOST:PORT or http://[IPV6]:PORT")]
    Host,
    #[error("has no usable port; write a number from 1 to 65535")]
    Port,
}

/// A host and a port to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    host: String,
    port: u16,
}

impl BaseUrl {
    /// Reads `http://HOST[:PORT]` with an optional slash at the end; the port is 80 when left out.
    pub(crate) fn parse(text: &str) -> Result<BaseUrl, UrlError> {
        let rest = text.strip_prefix("http://").ok_or(UrlError::Scheme)?;
        if rest.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(UrlError::Path);
        }
        let (host, port) = split_port(authority)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(UrlError::Host);
        }
        Ok(BaseUrl { host: host.to_owned(), port })
    }

    /// What name resolution takes: the host without brackets, and the port.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Of a server of our own.
    pub(crate) fn of(address: std::net::SocketAddr) -> BaseUrl {
        BaseUrl { host: address.ip().to_string(), port: address.port() }
    }

    /// As results name it.
    pub(crate) fn text(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// The value of the `Host` header.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or(UrlError::Host)?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or(UrlError::Port)?),
        };
        (host, port)
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = match port {
        None => 80,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| UrlError::Port)?
        }
        Some(_) => return Err(UrlError::Port),
    };
    if port == 0 { Err(UrlError::Port) } else { Ok((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        let check = |text: &str, authority: &str| {
            assert_eq!(BaseUrl::parse(text).unwrap().authority(), authority, "{text}");
        };
        check("http://127.0.0.1:8080", "127.0.0.1:8080");
        check("http://localhost:8080/", "localhost:8080");
        check("http://[::1]:9", "[::1]:9");
        check("http://[::1]", "[::1]:80");
        check("http://eligibility.test", "eligibility.test:80");
    }

    #[test]
    fn anything_else_is_refused() {
        let check = |text: &str, error| assert_eq!(BaseUrl::parse(text), Err(error), "{text}");
        check("https://127.0.0.1:8080", UrlError::Scheme);
        check("127.0.0.1:8080", UrlError::Scheme);
        check("http://a:b@127.0.0.1:8080", UrlError::UserInfo);
        check("http://127.0.0.1:8080/v1", UrlError::Path);
        check("http://:8080", UrlError::Host);
        check("http://a b:8080", UrlError::Host);
        check("http://[::1:8080", UrlError::Host);
        check("http://127.0.0.1:", UrlError::Port);
        check("http://127.0.0.1:0", UrlError::Port);
        check("http://127.0.0.1:99999", UrlError::Port);
        check("http://127.0.0.1:+80", UrlError::Port);
    }
}
