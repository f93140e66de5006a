//! Settings for build backends: `KEY=VALUE`, as `--config-settings` of pip and uv has them.
//!
//! Promises that a key that is given several times has a list of all its values, in their order,
//! and any other one its value, as backends know it from pip (PEP 517 leaves it open).

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Value, json};
use thiserror::Error;

/// What hooks of a backend get as `config_settings`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigSettings(BTreeMap<String, Vec<String>>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSetting {
    key: String,
    value: String,
}

/// Why a text is none. It is not repeated, since it may have a password in it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a setting of a build backend is `KEY=VALUE`")]
pub struct NotASetting;

impl FromStr for ConfigSetting {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Self, NotASetting> {
        let (key, value) = text.split_once('=').ok_or(NotASetting)?;
        if key.is_empty() {
            return Err(NotASetting);
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl Extend<ConfigSetting> for ConfigSettings {
    fn extend<T: IntoIterator<Item = ConfigSetting>>(&mut self, more: T) {
        for ConfigSetting { key, value } in more {
            self.0.entry(key).or_default().push(value);
        }
    }
}

impl FromIterator<ConfigSetting> for ConfigSettings {
    fn from_iter<T: IntoIterator<Item = ConfigSetting>>(all: T) -> Self {
        let mut settings = Self::default();
        settings.extend(all);
        settings
    }
}

impl ConfigSettings {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets others count in place of those with the same keys.
    pub fn replace(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Each setting, those of one key in their order.
    pub fn all(&self) -> impl Iterator<Item = ConfigSetting> {
        self.0.iter().flat_map(|(key, values)| {
            values.iter().map(|value| ConfigSetting {
                key: key.clone(),
                value: value.clone(),
            })
        })
    }

    /// The argument of a hook: `None` in Python if there are no settings.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let value = |values: &Vec<String>| match values.as_slice() {
            [only] => json!(only),
            several => json!(several),
        };
        if self.is_empty() {
            return Value::Null;
        }
        let pairs = self.0.iter();
        pairs
            .map(|(key, values)| (key.clone(), value(values)))
            .collect()
    }
}

impl std::fmt::Display for ConfigSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(texts: &[&str]) -> String {
        let all = texts.iter().map(|text| text.parse().unwrap());
        all.collect::<ConfigSettings>().to_json().to_string()
    }

    #[test]
    fn a_key_that_is_repeated_has_a_list() {
        assert_eq!(json_of(&[]), "null");
        assert_eq!(json_of(&["b=1", "a="]), r#"{"a":"","b":"1"}"#);
        let twice = json_of(&["--opt=x=y", "--opt=x", "a=1"]);
        assert_eq!(twice, r#"{"--opt":["x=y","x"],"a":"1"}"#);
        let all: ConfigSettings = ["b=2", "a=x", "b=1"]
            .map(|one| one.parse().unwrap())
            .into_iter()
            .collect();
        let mut replaced = all.clone();
        replaced.replace(
            ["b=3", "c=4"]
                .map(|one| one.parse().unwrap())
                .into_iter()
                .collect(),
        );
        assert_eq!(
            replaced.to_json().to_string(),
            r#"{"a":"x","b":"3","c":"4"}"#
        );
        let texts: Vec<String> = all.all().map(|one| one.to_string()).collect();
        assert_eq!(texts, ["a=x", "b=2", "b=1"]);
    }

    #[test]
    fn what_has_no_key_is_no_setting() {
        for text in ["", "key", "=value"] {
            assert_eq!(text.parse::<ConfigSetting>(), Err(NotASetting), "{text}");
        }
    }
}
