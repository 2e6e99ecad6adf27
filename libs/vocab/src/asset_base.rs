//! The address where the files of a shop are published, such as the pictures of its products.

use std::str::FromStr;

/// Longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 512;

/// The beginning of the addresses of files that are stored by their path: a content delivery network, for example
/// `https://cdn.example.com/shop`. The default has no address: paths stay paths, which belong to the shop's own address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetBase(Option<String>);

impl AssetBase {
    /// The address of a file that is stored by its path; any other address stays as it is.
    pub fn resolve(&self, stored: String) -> String {
        match &self.0 {
            Some(base) if stored.starts_with('/') => format!("{base}{stored}"),
            _ => stored,
        }
    }

    /// The path of a file at this address, so that it moves with it; any other address as it is.
    pub fn stored(&self, address: String) -> String {
        let path = self.0.as_deref().and_then(|base| address.strip_prefix(base)).filter(|path| path.starts_with('/'));
        path.map(str::to_owned).unwrap_or(address)
    }
}

impl FromStr for AssetBase {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let base = text.trim_end_matches('/');
        let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")).unwrap_or_default();
        let host_is_given = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        let is_plain = base.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}?#@".contains(c));
        if host_is_given && is_plain && base.len() <= ADDRESS_BYTES_MAX {
            Ok(Self(Some(base.to_owned())))
        } else {
            Err("must be an address like https://cdn.example.com/shop, without user, query and fragment")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AssetBase;

    #[test]
    fn gw16_a_path_gets_the_address_of_the_shops_files_and_loses_it_when_it_is_stored() {
        let base: AssetBase = "https://cdn.example.com/shop/".parse().unwrap();
        for (stored, address) in [
            ("/chairs/oak.png?w=1", "https://cdn.example.com/shop/chairs/oak.png?w=1"),
            ("https://other.example/a.png", "https://other.example/a.png"),
            ("https://cdn.example.com/shopping/a.png", "https://cdn.example.com/shopping/a.png"),
        ] {
            assert_eq!(base.resolve(stored.to_owned()), address);
            assert_eq!(base.stored(address.to_owned()), stored);
        }
        let none = AssetBase::default();
        assert_eq!(none.resolve("/a.png".to_owned()), "/a.png");
        assert_eq!(none.stored("https://cdn.example.com/shop/a.png".to_owned()), "https://cdn.example.com/shop/a.png");
    }

    #[test]
    fn gw16_the_address_of_the_shops_files_is_one_of_http() {
        for wrong in
            ["", "cdn.example.com", "ftp://x", "https://", "https://a b", "https://u@x", "https://x?q", "https:///x"]
        {
            assert!(wrong.parse::<AssetBase>().is_err(), "{wrong}");
        }
    }
}
