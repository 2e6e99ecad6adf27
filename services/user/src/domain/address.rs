//! Postal addresses.

use agora_vocab::{AddressId, Invalid};

use super::Text;

/// Limit of entries per address book.
pub const ADDRESSES_MAX: usize = 100;

/// Officially assigned codes of ISO 3166-1 alpha-2.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW \
    BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI \
    FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN \
    IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME \
    MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF \
    PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV \
    SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE \
    YT ZA ZM ZW";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub recipient: Option<Text<200>>,
    /// Street and number.
    pub street: Text<200>,
    pub city: Text<100>,
    /// State or region.
    pub state: Option<Text<100>>,
    pub postal_code: Option<Text<20>>,
    pub country: Country,
}

/// An entry of an address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookEntry {
    pub id: AddressId,
    pub address: Address,
}

/// A country by its ISO 3166-1 alpha-2 code, in capitals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Country(String);

impl Country {
    /// Takes an assigned code, in any case.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let code = text.trim().to_ascii_uppercase();
        if code.len() == 2 && COUNTRIES.split_ascii_whitespace().any(|known| known == code) {
            Ok(Self(code))
        } else {
            Err(Invalid::new("country", "must be an ISO 3166-1 code of two letters like DE"))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTRIES, Country};

    #[test]
    fn a_country_is_an_assigned_code() {
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 249);
        assert_eq!(Country::parse(" de ").unwrap().as_str(), "DE");
        for bad in ["", "D", "DEU", "XX", "D E", "12"] {
            assert!(Country::parse(bad).is_err(), "{bad:?}");
        }
    }
}
