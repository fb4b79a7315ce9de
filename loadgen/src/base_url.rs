//! The server's address as given: `http://HOST[:PORT]` or `https://HOST[:PORT]`, nothing else.
//!
//! Names are resolved where connections are opened.

/// Why a URL is not one of a server. None of the texts repeats the URL: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("must begin with `http://` or `https://`")]
    Scheme,
    #[error("must not hold a user name or password; keys go into --key-file")]
    UserInfo,
    #[error("must end after the port; the paths are fixed by the contract")]
    Path,
    #[error("has no usable host; write HOST:PORT or [IPV6]:PORT after the two slashes")]
    Host,
    #[error("has no usable port; write a number from 1 to 65535")]
    Port,
}

/// A host and a port to connect to, and whether to speak TLS there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    host: String,
    port: u16,
    tls: bool,
}

impl BaseUrl {
    /// Reads `http://HOST[:PORT]` with an optional slash at the end; the port is 80 when left out, and 443 for
    /// `https`.
    pub(crate) fn parse(text: &str) -> Result<BaseUrl, UrlError> {
        let (rest, tls) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err(UrlError::Scheme),
        };
        if rest.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(UrlError::Path);
        }
        let (host, port) = split_port(authority, if tls { 443 } else { 80 })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(UrlError::Host);
        }
        Ok(BaseUrl { host: host.to_owned(), port, tls })
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Without brackets, as certificates name it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// What name resolution takes: the host without brackets, and the port.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Of a server of our own, without TLS.
    pub(crate) fn of(address: std::net::SocketAddr) -> BaseUrl {
        BaseUrl { host: address.ip().to_string(), port: address.port(), tls: false }
    }

    /// As results name it.
    pub(crate) fn text(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
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

fn split_port(authority: &str, default: u16) -> Result<(&str, u16), UrlError> {
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
        None => default,
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
        check("https://eligibility.test/", "eligibility.test:443");
        check("https://[::1]:8443", "[::1]:8443");
    }

    #[test]
    fn the_scheme_says_whether_to_speak_tls() {
        let check = |text: &str, tls: bool| {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!((url.is_tls(), url.text().as_str()), (tls, text));
        };
        check("http://a.test:8080", false);
        check("https://a.test:8080", true);
        check("https://[::1]:8443", true);
    }

    #[test]
    fn anything_else_is_refused() {
        let check = |text: &str, error| assert_eq!(BaseUrl::parse(text), Err(error), "{text}");
        check("ftp://127.0.0.1:8080", UrlError::Scheme);
        check("HTTPS://127.0.0.1:8080", UrlError::Scheme);
        check("127.0.0.1:8080", UrlError::Scheme);
        check("http://a:b@127.0.0.1:8080", UrlError::UserInfo);
        check("https://a@127.0.0.1:8080", UrlError::UserInfo);
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
