//! FF1, the format-preserving encryption of NIST SP 800-38G, for decimal numbers of 6 to 56 digits.
//!
//! A number is handled as its two halves, each of which fits `u128`; at 56 digits FF1's `d` is 16, so one
//! AES block a round is always enough. All that a key and a tweak decide (the block P, the tweak's blocks,
//! the constant part of the last block) is computed once, so that one encryption costs ten AES blocks.
//! Knows nothing of tracking codes.

use aes::cipher::{Array, BlockCipherEncrypt, BlockSizeUser, consts::U16};

/// Below 10^6 numbers SP 800-38G (revision 1) allows no FF1.
const DIGITS_MIN: u32 = 6;
/// Where both halves still fit one AES block a round.
const DIGITS_MAX: u32 = 56;
const ROUNDS: u8 = 10;

/// FF1 in radix 10 under one key, one tweak and one number of digits.
#[derive(Clone)]
pub(crate) struct Ff1<C> {
    cipher: C,
    /// 10^u and 10^v, for the halves of u = floor(n / 2) and v = n - u digits.
    moduli: [u128; 2],
    /// Bytes of a round's output that count, `d` in the standard.
    output_len: usize,
    /// The CBC-MAC over all blocks but the last, combined with the last one's constant bytes.
    prefix: u128,
    /// Where the round number stands in the last block, as a shift from its end: 8 * b.
    round_shift: u32,
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> Ff1<C> {
    /// Prepares a key. `digits` is the length of the numbers, 6 to 56.
    pub(crate) fn new(cipher: C, digits: u32, tweak: &[u8]) -> Ff1<C> {
        assert!((DIGITS_MIN..=DIGITS_MAX).contains(&digits), "FF1 is for 6 to 56 digits here");
        let (u, v) = (digits / 2, digits - digits / 2);
        let half_len = bytes_for(v);
        let output_len = 4 * half_len.div_ceil(4) + 4;
        let mut blocks = parameter_block(u, digits, tweak.len()).to_vec();
        blocks.extend_from_slice(tweak);
        // The last 1 + b bytes are the round number and the half; zeros fill up what is before them.
        blocks.resize((blocks.len() + 1 + half_len).next_multiple_of(16), 0);
        let (before, last) = blocks.split_last_chunk::<16>().expect("there is at least the parameter block");
        let mut prefix = 0;
        for block in before.as_chunks::<16>().0 {
            prefix = encrypt_block(&cipher, prefix ^ u128::from_be_bytes(*block));
        }
        prefix ^= u128::from_be_bytes(*last);
        let round_shift = 8 * u32::try_from(half_len).expect("at most 12 bytes");
        Ff1 { cipher, moduli: [10_u128.pow(u), 10_u128.pow(v)], output_len, prefix, round_shift }
    }

    /// Encrypts the number whose first u digits are `left` and whose last v digits are `right`.
    pub(crate) fn encrypt(&self, left: u128, right: u128) -> (u128, u128) {
        let (mut a, mut b) = (left, right);
        for round in 0..ROUNDS {
            let modulus = self.moduli[usize::from(round % 2)];
            let sum = a + reduce(self.round(round, b), modulus);
            (a, b) = (b, if sum < modulus { sum } else { sum - modulus });
        }
        (a, b)
    }

    /// The inverse of [`Ff1::encrypt`].
    pub(crate) fn decrypt(&self, left: u128, right: u128) -> (u128, u128) {
        let (mut a, mut b) = (left, right);
        for round in (0..ROUNDS).rev() {
            let modulus = self.moduli[usize::from(round % 2)];
            let difference = b + modulus - reduce(self.round(round, a), modulus);
            (a, b) = (if difference < modulus { difference } else { difference - modulus }, a);
        }
        (a, b)
    }

    /// NUM(S) of one round: the first `d` bytes of the last CBC block.
    fn round(&self, round: u8, half: u128) -> u128 {
        let last = self.prefix ^ u128::from(round) << self.round_shift ^ half;
        encrypt_block(&self.cipher, last) >> (8 * (16 - self.output_len))
    }
}

/// The remainder; up to 19 digits, a tracking code's case, without a 128-bit division.
fn reduce(value: u128, modulus: u128) -> u128 {
    match (u64::try_from(value), u64::try_from(modulus)) {
        (Ok(value), Ok(modulus)) => u128::from(value % modulus),
        _ => value % modulus,
    }
}

/// Step 3 of the standard: the bytes that hold any number of v digits.
fn bytes_for(v: u32) -> usize {
    let bits = u128::BITS - (10_u128.pow(v) - 1).leading_zeros();
    bits.div_ceil(8) as usize
}

/// Step 5 of the standard: P.
fn parameter_block(u: u32, digits: u32, tweak_len: usize) -> [u8; 16] {
    let tweak_len = u32::try_from(tweak_len).expect("a tweak is short");
    let mut block = [1, 2, 1, 0, 0, 10, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    block[7] = u8::try_from(u).expect("at most 28 digits");
    block[8..12].copy_from_slice(&digits.to_be_bytes());
    block[12..16].copy_from_slice(&tweak_len.to_be_bytes());
    block
}

fn encrypt_block<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(cipher: &C, block: u128) -> u128 {
    let mut block = Array::from(block.to_be_bytes());
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16};
    use aes::{Aes128, Aes192, Aes256};
    use fpe::ff1::{FF1, FlexibleNumeralString};
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::Ff1;

    const NIST_KEY: &str = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94";
    const NIST_TWEAK: &[u8] = b"9876543210";

    fn hex(digits: &str) -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// Encrypts a text of digits, and checks that decrypting leads back.
    fn through<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(ff1: &Ff1<C>, text: &str) -> String {
        let (left, right) = text.split_at(text.len() / 2);
        let (plain_a, plain_b) = (left.parse().unwrap(), right.parse().unwrap());
        let (a, b) = ff1.encrypt(plain_a, plain_b);
        assert_eq!(ff1.decrypt(a, b), (plain_a, plain_b));
        format!("{a:0left$}{b:0right$}", left = left.len(), right = right.len())
    }

    #[track_caller]
    fn check_nist<C>(key_len: usize, tweak: &[u8], expected: &str)
    where
        C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
    {
        let cipher = C::new_from_slice(&hex(NIST_KEY)[..key_len]).unwrap();
        assert_eq!(through(&Ff1::new(cipher, 10, tweak), "0123456789"), expected);
    }

    /// The radix-10 samples of NIST's "FF1 Samples" sheet for SP 800-38G, numbers 1, 2, 4, 5, 7 and 8.
    #[test]
    fn nist_samples() {
        check_nist::<Aes128>(16, &[], "2433477484");
        check_nist::<Aes128>(16, NIST_TWEAK, "6124200773");
        check_nist::<Aes192>(24, &[], "2830668132");
        check_nist::<Aes192>(24, NIST_TWEAK, "2496655549");
        check_nist::<Aes256>(32, &[], "6657667009");
        check_nist::<Aes256>(32, NIST_TWEAK, "1001623463");
    }

    #[track_caller]
    fn check_against_fpe(key: [u8; 32], tweak: &[u8], digits: &[u16]) {
        let theirs = FF1::<Aes256>::new(&key, 10).unwrap();
        let expected: Vec<u16> =
            theirs.encrypt(tweak, &FlexibleNumeralString::from(digits.to_vec())).unwrap().into();
        let text: String = digits.iter().map(u16::to_string).collect();
        let expected: String = expected.iter().map(u16::to_string).collect();
        let ours = Ff1::new(Aes256::new(&key.into()), u32::try_from(digits.len()).unwrap(), tweak);
        assert_eq!(through(&ours, &text), expected);
    }

    proptest! {
        #[test]
        fn fourteen_digits_as_fpe_has_them(key in any::<[u8; 32]>(), digits in prop::collection::vec(0_u16..10, 14)) {
            check_against_fpe(key, &[], &digits);
        }

        #[test]
        fn all_lengths_and_tweaks_as_fpe_has_them(
            key in any::<[u8; 32]>(),
            tweak in prop::collection::vec(any::<u8>(), 0..40),
            digits in prop::collection::vec(0_u16..10, 6..=56),
        ) {
            check_against_fpe(key, &tweak, &digits);
        }

        #[test]
        fn decrypting_leads_back(key in any::<[u8; 32]>(), left in 0_u128..10_000_000, right in 0_u128..10_000_000) {
            let ff1 = Ff1::new(Aes256::new(&key.into()), 14, &[]);
            let (a, b) = ff1.encrypt(left, right);
            prop_assert_eq!(ff1.decrypt(a, b), (left, right));
        }
    }
}
