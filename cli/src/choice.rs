//! Values of the command line: labels, workload names, port mappings, headers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// `istio=ingressgateway,version=v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

/// `my-app/backend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// `80=18080`: the port a Gateway names, and the one to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortMapping {
    /// The Gateway's port.
    pub port: u16,
    /// The port to listen on.
    pub local: u16,
}

/// `8080=18080`: the port of a workload, and the one where its application listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppPort {
    /// The workload's port, which the sidecar has.
    pub port: u16,
    /// The application's port.
    pub local: u16,
}

/// How long something lasts: `24h`, `30m`, `90s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub std::time::Duration);

/// `eu/eu-1/rack-7`; zone and subzone may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locality(pub String);

/// `user-agent: Firefox`, the name in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The name, in lower case.
    pub name: String,
    /// The value, without the white space around it.
    pub value: String,
}

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut labels = BTreeMap::new();
        for pair in text.split(',') {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.trim().is_empty()) else {
                return Err(format!("expected `key=value`, several separated by `,`, found `{pair}`"));
            };
            let (key, value) = (key.trim(), value.trim());
            if labels.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("the label `{key}` is given twice"));
            }
        }
        Ok(Self(labels))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for WorkloadName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("expected `namespace/name`, found `{text}`")),
        }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for PortMapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |text: &str| text.parse::<u16>().ok();
        let ports = text.split_once('=').and_then(|(port, local)| Some((read(port)?, read(local)?)));
        // 0 lets the kernel choose the port to listen on; a Gateway has no port 0.
        let ports = ports.filter(|(port, _)| *port != 0);
        let (port, local) = ports.ok_or_else(|| {
            format!(
                "expected the Gateway's port and the one to listen on, such as `80=18080`, found `{text}`"
            )
        })?;
        Ok(Self { port, local })
    }
}

impl FromStr for AppPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        let ports = text.split_once('=').and_then(|(port, local)| Some((read(port)?, read(local)?)));
        let (port, local) = ports.ok_or_else(|| {
            format!(
                "expected the workload's port and the application's, such as `8080=18080`, found `{text}`"
            )
        })?;
        Ok(Self { port, local })
    }
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
        let seconds = units.iter().find_map(|(unit, seconds)| {
            let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
            number.checked_mul(*seconds).filter(|seconds| *seconds > 0)
        });
        // No certificate is to outlive a decade.
        let seconds = seconds.filter(|seconds| *seconds <= 10 * 366 * 86_400);
        seconds.map(|seconds| Self(std::time::Duration::from_secs(seconds))).ok_or_else(|| {
            format!(
                "expected a whole number of seconds, minutes, hours or days, such as `24h`, found `{text}`"
            )
        })
    }
}

impl FromStr for Locality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.contains('*')) {
            return Err(format!("expected `region`, `region/zone` or `region/zone/subzone`, found `{text}`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RequestHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, value)) = text.split_once(':').filter(|(name, _)| is_token(name)) else {
            return Err(format!("expected `name: value`, found `{text}`"));
        };
        if value.contains(['\r', '\n', '\0']) {
            return Err(format!(
                "the value of `{name}` has a line break or a zero byte, which no header can hold"
            ));
        }
        Ok(Self { name: name.to_ascii_lowercase(), value: value.trim_matches([' ', '\t']).to_owned() })
    }
}

/// Whether this is a token as RFC 9110 defines it: what header names and methods are made of.
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_pairs_separated_by_commas() {
        let labels: Labels = "istio=ingressgateway, version=v1".parse().unwrap();
        assert_eq!(labels.to_string(), "istio=ingressgateway,version=v1");
        assert_eq!("empty=".parse::<Labels>().unwrap().to_string(), "empty=");
        let refused = |text: &str| text.parse::<Labels>().unwrap_err();
        assert_eq!(
            refused("ingressgateway"),
            "expected `key=value`, several separated by `,`, found `ingressgateway`"
        );
        assert_eq!(refused("a=1,a=2"), "the label `a` is given twice");
        assert_eq!(refused("=x"), "expected `key=value`, several separated by `,`, found `=x`");
    }

    #[test]
    fn a_workload_has_a_namespace() {
        assert_eq!("my-app/backend".parse::<WorkloadName>().unwrap().to_string(), "my-app/backend");
        for text in ["backend", "/backend", "my-app/", "a/b/c"] {
            let expected = format!("expected `namespace/name`, found `{text}`");
            assert_eq!(text.parse::<WorkloadName>().unwrap_err(), expected);
        }
    }

    #[test]
    fn a_port_mapping_has_two_ports() {
        assert_eq!("80=18080".parse(), Ok(PortMapping { port: 80, local: 18080 }));
        assert_eq!("80=0".parse(), Ok(PortMapping { port: 80, local: 0 }));
        for text in ["80", "80=", "0=80", "80=65536", "80:18080"] {
            assert!(text.parse::<PortMapping>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_locality_has_up_to_three_parts() {
        assert_eq!("eu/1".parse(), Ok(Locality("eu/1".to_owned())));
        for text in ["", "/", "eu/", "eu/*", "a/b/c/d"] {
            assert!(text.parse::<Locality>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let header: RequestHeader = "User-Agent:  Firefox:1 ".parse().unwrap();
        assert_eq!(header, RequestHeader { name: "user-agent".to_owned(), value: "Firefox:1".to_owned() });
        assert_eq!(
            "user agent: x".parse::<RequestHeader>().unwrap_err(),
            "expected `name: value`, found `user agent: x`"
        );
        assert!("x: a\r\nb: c".parse::<RequestHeader>().is_err());
    }
}
