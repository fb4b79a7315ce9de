//! Ed25519 signatures over `content.json` and `publication.json`: each stands in a file of its own beside what
//! it signs, `NAME.sig`, with the id of the key. The builder holds the private key, servers the public one.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey as DalekSigningKey, VerifyingKey};
use thiserror::Error;

const SECRET_LABEL: &str = "estehqaq-signing-key";
const PUBLIC_LABEL: &str = "estehqaq-public-key";
/// Ends the name of a signature's file.
pub(crate) const SIGNATURE_SUFFIX: &str = ".sig";
const KEY_ID_LEN: usize = 16;

/// The private key, which signs. Its bytes come out through [`SigningKey::reveal_file`] alone.
#[derive(Clone)]
pub struct SigningKey(DalekSigningKey);

/// The public key, which tells whether a signature is the private key's.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// The text is no key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyFileError {
    /// Something else where the private key should be.
    #[error("it is no signing key: one line, `estehqaq-signing-key` and 64 hexadecimal digits")]
    Secret,
    /// Something else where the public key should be.
    #[error("it is no public key: one line, `estehqaq-public-key` and 64 hexadecimal digits")]
    Public,
}

/// What is wrong with a signature; the caller knows the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureFault {
    /// Not lines of key id and signature.
    #[error("its signature file is damaged")]
    Form,
    /// Made with a key that is not among those given.
    #[error("it is signed with another key")]
    OtherKey,
    /// The bytes are not those that were signed.
    #[error("its signature does not fit its bytes")]
    Wrong,
}

impl SigningKey {
    /// The key with these 32 random bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> SigningKey {
        SigningKey(DalekSigningKey::from_bytes(bytes))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError::Secret`].
    pub fn parse(text: &str) -> Result<SigningKey, KeyFileError> {
        let bytes = labelled(text, SECRET_LABEL).ok_or(KeyFileError::Secret)?;
        Ok(SigningKey::from_bytes(&bytes))
    }

    /// The text of its file: a secret.
    pub fn reveal_file(&self) -> String {
        format!("{SECRET_LABEL} {}\n", blake3::Hash::from_bytes(self.0.to_bytes()).to_hex())
    }

    /// The key that checks its signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The contents of the file beside the one with these bytes.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(bytes).to_bytes();
        let mut text = format!("{} ", self.public().id());
        signature.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.push('\n');
        text.into_bytes()
    }
}

impl PublicKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError::Public`].
    pub fn parse(text: &str) -> Result<PublicKey, KeyFileError> {
        let bytes = labelled(text, PUBLIC_LABEL).ok_or(KeyFileError::Public)?;
        VerifyingKey::from_bytes(&bytes).map(PublicKey).map_err(|_| KeyFileError::Public)
    }

    /// The text of its file.
    pub fn file(&self) -> String {
        format!("{PUBLIC_LABEL} {}\n", blake3::Hash::from_bytes(self.0.to_bytes()).to_hex())
    }

    /// Sixteen hexadecimal digits that tell keys apart.
    pub fn id(&self) -> String {
        blake3::hash(self.0.as_bytes()).to_hex()[..KEY_ID_LEN].to_owned()
    }

    fn verify(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(bytes, signature).is_ok()
    }
}

/// Checks the contents of a signature file against the bytes that it must sign, with one of the keys. While a file
/// is replaced, its signature file has a line for the old bytes and one for the new ones: one that fits is enough.
pub(crate) fn check_signature(file: &[u8], bytes: &[u8], keys: &[PublicKey]) -> Result<(), SignatureFault> {
    let lines = signature_lines(file).ok_or(SignatureFault::Form)?;
    let known = lines.iter().filter_map(|(id, signature)| {
        keys.iter().find(|key| key.id() == *id).map(|key| key.verify(bytes, signature))
    });
    match known.max() {
        None => Err(SignatureFault::OtherKey),
        Some(false) => Err(SignatureFault::Wrong),
        Some(true) => Ok(()),
    }
}

/// Key id and signature of each line.
fn signature_lines(file: &[u8]) -> Option<Vec<(&str, Signature)>> {
    std::str::from_utf8(file).ok()?.strip_suffix('\n')?.split('\n').map(signature_line).collect()
}

fn signature_line(line: &str) -> Option<(&str, Signature)> {
    let (id, hex) = line.split_once(' ')?;
    Some((id, signature_from_hex(hex)?))
}

/// The id of the key that a signature file names last, if it is one.
pub(crate) fn signing_key_id(file: &[u8]) -> Option<String> {
    signature_lines(file)?.last().map(|(id, _)| (*id).to_owned())
}

fn signature_from_hex(hex: &str) -> Option<Signature> {
    let (first, second) = hex.split_at_checked(64)?;
    // A hash has the form of half a signature: 32 bytes in hexadecimal.
    let half = |hex: &str| blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes());
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&half(first)?);
    bytes[32..].copy_from_slice(&half(second)?);
    Some(Signature::from_bytes(&bytes))
}

fn labelled(text: &str, label: &str) -> Option<[u8; 32]> {
    let hex = text.trim_end().strip_prefix(label)?.strip_prefix(' ')?;
    blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes())
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, redacted)", self.public().id())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyFileError, PublicKey, SignatureFault, SigningKey, check_signature};

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signs_as_rfc_8032_says() {
        let hex = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let key = SigningKey::parse(&format!("estehqaq-signing-key {hex}\n")).unwrap();
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public().file(), format!("estehqaq-public-key {public}\n"));
        let signed = String::from_utf8(key.sign(&[0x72])).unwrap();
        assert!(signed.ends_with(
            " 92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00\n"
        ));
    }

    #[test]
    fn only_the_bytes_that_were_signed_with_a_known_key_pass() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let keys = [other.public(), key.public()];
        let file = key.sign(b"content");
        assert_eq!(check_signature(&file, b"content", &keys), Ok(()));
        assert_eq!(check_signature(&file, b"contenT", &keys), Err(SignatureFault::Wrong));
        assert_eq!(check_signature(&file, b"content", &keys[..1]), Err(SignatureFault::OtherKey));
        for cut in 0..file.len() {
            assert_eq!(check_signature(&file[..cut], b"content", &keys), Err(SignatureFault::Form));
        }
        for place in 0..file.len() {
            let mut flipped = file.clone();
            flipped[place] ^= 1;
            assert!(check_signature(&flipped, b"content", &keys).is_err(), "byte {place}");
        }
    }

    #[test]
    fn one_of_two_signatures_is_enough_and_both_must_have_the_form() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let keys = [key.public()];
        let both = [key.sign(b"new"), key.sign(b"old")].concat();
        assert_eq!(check_signature(&both, b"new", &keys), Ok(()));
        assert_eq!(check_signature(&both, b"old", &keys), Ok(()));
        assert_eq!(check_signature(&both, b"other", &keys), Err(SignatureFault::Wrong));
        let foreign = [other.sign(b"new"), key.sign(b"old")].concat();
        assert_eq!(check_signature(&foreign, b"old", &keys), Ok(()));
        assert_eq!(check_signature(&foreign, b"new", &keys), Err(SignatureFault::Wrong));
        for file in [[both.as_slice(), b"\n"].concat(), [both.as_slice(), b"x y\n"].concat()] {
            assert_eq!(check_signature(&file, b"new", &keys), Err(SignatureFault::Form));
        }
    }

    #[test]
    fn key_files_are_read_back_and_nothing_else_is() {
        let key = SigningKey::from_bytes(&[9; 32]);
        assert_eq!(SigningKey::parse(&key.reveal_file()).unwrap().public(), key.public());
        assert_eq!(PublicKey::parse(&key.public().file()).unwrap(), key.public());
        assert_eq!(SigningKey::parse(&key.public().file()).unwrap_err(), KeyFileError::Secret);
        assert_eq!(PublicKey::parse(&key.reveal_file()).unwrap_err(), KeyFileError::Public);
        assert!(!format!("{key:?}").contains(&key.reveal_file()[21..40]));
    }
}
