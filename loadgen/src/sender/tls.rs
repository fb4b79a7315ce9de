//! TLS as the sender speaks it: versions 1.3 and 1.2, the server's certificate checked, sessions taken up again.
//!
//! No client certificates and no revocation lists. What a handshake failed for is told with what to do about it;
//! the bytes themselves go through `wire`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore};

/// Why no TLS can be spoken at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the file named by --ca cannot be read: {0}; give certificates in PEM")]
    Unreadable(PemError),
    #[error("the file named by --ca holds no certificate; give PEM, with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    #[error("the file named by --ca, certificate {number}: {source}; export it again as X.509 in PEM")]
    BadAuthority { number: usize, source: Error },
    #[error("this machine trusts no authority; install its ca-certificates, or name an authority with --ca")]
    NoAuthorities,
    #[error("--url: no certificate can be made for this host; write its DNS name or address")]
    Host,
    #[error("cannot set TLS up: {0}")]
    Setup(#[source] Error),
}

/// Whose signature on a server's certificate counts.
#[derive(Debug, Clone, Default)]
pub(crate) enum Trust {
    /// The authorities that this machine trusts.
    #[default]
    System,
    /// These and no others.
    Given(Arc<RootCertStore>),
}

impl Trust {
    /// The certificates of a PEM file.
    pub(crate) fn read(path: &Path) -> Result<Trust, TlsError> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(path).map_err(TlsError::Unreadable)?;
        for (index, certificate) in certificates.enumerate() {
            let certificate = certificate.map_err(TlsError::Unreadable)?;
            let number = index + 1;
            roots.add(certificate).map_err(|source| TlsError::BadAuthority { number, source })?;
        }
        if roots.is_empty() { Err(TlsError::NoCertificate) } else { Ok(Trust::Given(Arc::new(roots))) }
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        if let Trust::Given(roots) = self {
            return Ok(Arc::clone(roots));
        }
        let mut roots = RootCertStore::empty();
        // A single certificate that cannot be used is no reason to trust nobody.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(Arc::new(roots)) }
    }
}

/// How to speak TLS with one server; remembers its sessions, for all connections of a run.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl Tls {
    pub(crate) fn new(host: &str, trust: &Trust) -> Result<Tls, TlsError> {
        let server = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(TlsError::Setup)?;
        let mut config = builder.with_root_certificates(trust.roots()?).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), server })
    }

    /// A connection that has not said anything yet.
    pub(crate) fn connection(&self) -> io::Result<ClientConnection> {
        ClientConnection::new(Arc::clone(&self.config), self.server.clone()).map_err(io::Error::other)
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error(
        "the server's certificate is signed by no trusted authority; name the PEM file of the authority that \
         signed it with --ca (which then stands in for this machine's own authorities)"
    )]
    Untrusted,
    #[error(
        "the server's certificate is for {0}, not for this host; write that name in --url, or replace it"
    )]
    OtherHost(String),
    #[error("the server's certificate has expired; renew it, or set this machine's clock")]
    Expired,
    #[error("the server's certificate is not valid yet; wait, or set this machine's clock")]
    NotYetValid,
    #[error("the server's certificate cannot be used: {0}; replace it")]
    BadCertificate(CertificateError),
    #[error("what answers there does not speak TLS; write http:// in --url, or the port that does")]
    NotTls,
    #[error("the server refused the TLS handshake: {0}; does it take TLS 1.2 or 1.3 for this host name?")]
    Refused(Error),
    #[error("the server ended the connection in the TLS handshake; does it speak TLS on this port?")]
    Closed,
    #[error("the TLS handshake was not done within the timeout; is this a TLS port, and is the server well?")]
    TimedOut,
    #[error("the TLS handshake failed: {0}; is the server's TLS set up rightly?")]
    Other(io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> HandshakeError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(error)) => of_certificate(error),
            Some(Error::InvalidMessage(_)) => HandshakeError::NotTls,
            Some(error @ Error::AlertReceived(_)) => HandshakeError::Refused(error.clone()),
            Some(_) => HandshakeError::Other(error),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => HandshakeError::Closed,
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HandshakeError::TimedOut,
                _ => HandshakeError::Other(error),
            },
        }
    }
}

fn of_certificate(error: &CertificateError) -> HandshakeError {
    match error {
        // A signature that is wrong is that of a namesake of a trusted authority.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => HandshakeError::Untrusted,
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| plain(name)).collect();
            HandshakeError::OtherHost(if names.is_empty() { "no name".to_owned() } else { names.join(", ") })
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => HandshakeError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            HandshakeError::NotYetValid
        }
        other => HandshakeError::BadCertificate(other.clone()),
    }
}

/// A name as people write it: rustls tells `DnsName("example.org")`.
fn plain(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}
