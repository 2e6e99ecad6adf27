//! An Ed25519 key made with openssl, its key set, and access tokens with the claims that the user service issues.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::command::{command, run};

const KEY_ID: &str = "bench";
/// Length of a raw Ed25519 public key, which ends the DER form.
const PUBLIC_BYTES: usize = 32;
/// 1 January 2100, in seconds: the token does not expire during a measurement.
const EXPIRES: u64 = 4_102_444_800;

/// A folder with the private key.
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    pub fn create(folder: &Path) -> Result<Self> {
        let keys = Self { folder: folder.to_owned() };
        keys.openssl(&["genpkey", "-algorithm", "ED25519", "-out", "key.pem"])?;
        keys.openssl(&["pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "public.der"])?;
        Ok(keys)
    }

    /// Writes the key set and returns its path.
    pub fn jwks_file(&self) -> Result<PathBuf> {
        let der = std::fs::read(self.folder.join("public.der"))?;
        let public = der.last_chunk::<PUBLIC_BYTES>().context("the public key is too short")?;
        let x = BASE64_URL_SAFE_NO_PAD.encode(public);
        let key = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KEY_ID, "x": x});
        let file = self.folder.join("jwks.json");
        std::fs::write(&file, json!({ "keys": [key] }).to_string())?;
        Ok(file)
    }

    /// A token of the user with this number.
    pub fn sign(&self, user: usize) -> Result<String> {
        let signed = unsigned(user);
        std::fs::write(self.folder.join("signed"), &signed)?;
        self.openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "signed", "-out", "signature"])?;
        let signature = std::fs::read(self.folder.join("signature"))?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    fn openssl(&self, args: &[&str]) -> Result<()> {
        run(command("openssl", args).current_dir(&self.folder))
    }
}

/// Header and claims.
fn unsigned(user: usize) -> String {
    let id = |kind: u8| format!("0192f0c1-0000-7000-8{kind:03}-{user:012}");
    let header = json!({"typ": "JWT", "alg": "EdDSA", "kid": KEY_ID});
    let claims = json!({
        "sub": id(1), "roles": ["customer"], "sid": id(2), "jti": id(3), "iss": "agora", "aud": "agora", "exp": EXPIRES,
    });
    let part = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", part(&header), part(&claims))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_another_token_of_two_parts_before_its_signature() {
        assert_ne!(unsigned(1), unsigned(2));
        let first = unsigned(1);
        let (_, claims) = first.split_once('.').unwrap();
        let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims["sub"], "0192f0c1-0000-7000-8001-000000000001");
        assert_eq!(claims["aud"], "agora");
    }
}
