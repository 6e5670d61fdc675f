//! What is sent upstream, read back from the orders that the filters give to Envoy's router.

use crate::explain::route::owned;
use mesh_policy_core::control::{CLUSTER, PROFILE};
use mesh_policy_core::effect::HeaderEdit;
use mesh_policy_core::request::RequestView;
use mesh_policy_core::route::ForwardingProfile;
use std::collections::BTreeMap;

/// A forwarded request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Forward {
    pub cluster: String,
    pub path: Option<String>,
    pub authority: Option<String>,
    pub mirrors: Vec<Mirror>,
    pub timeout_ms: Option<u64>,
    /// The rule's own retry policy; Istio's default applies where it has none.
    pub retries: Option<Retries>,
    /// Operations on the request's headers, in order.
    pub edits: Vec<HeaderEdit<'static>>,
}

/// Where copies of requests go, and of how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub cluster: String,
    pub per_million: u32,
}

/// When the request is tried again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Retries {
    pub attempts: u64,
    /// Conditions in Envoy's words; empty when nothing is tried again.
    pub on: Vec<String>,
    pub status_codes: Vec<String>,
    pub per_try_timeout_ms: Option<u64>,
    pub avoids_tried_hosts: bool,
    pub remote_localities: bool,
    pub backoff_ms: Option<u64>,
}

impl Forward {
    /// From the router filter's orders and the rule's own header operations.
    pub fn new(
        cluster: &str,
        profile: Option<&ForwardingProfile>,
        request: &RequestView<'_>,
        orders: &[HeaderEdit<'_>],
        edits: &[HeaderEdit<'_>],
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        let mut others = Vec::new();
        for order in orders {
            match order {
                HeaderEdit::Set(name, value) if is_order(name) => {
                    said.insert(name.to_string(), text(value));
                }
                // What a client sent in the place of an order.
                HeaderEdit::Remove(name) if is_order(name) => {}
                other => others.push(owned(other)),
            }
        }
        let mut take = |name: &str| said.remove(name);
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let list = |text: Option<String>| -> Vec<String> {
            let text = text.unwrap_or_default();
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        // The profile's name says what the profile itself says below.
        let _ = take(PROFILE);
        let retries = profile.and_then(ForwardingProfile::retries).map(|own| Retries {
            avoids_tried_hosts: own.avoid_tried_hosts,
            remote_localities: own.remote_localities,
            backoff_ms: own.backoff_ms,
            attempts: number(take("x-envoy-max-retries")).unwrap_or(1),
            on: [take("x-envoy-retry-on"), take("x-envoy-retry-grpc-on")]
                .into_iter()
                .flat_map(list)
                .collect(),
            status_codes: list(take("x-envoy-retriable-status-codes")),
            per_try_timeout_ms: number(take("x-envoy-upstream-rq-per-try-timeout-ms")),
        });
        let sent = |value: Option<String>, original: Option<&[u8]>| value.or_else(|| original.map(text));
        let forward = Self {
            cluster: take(CLUSTER).unwrap_or_else(|| cluster.to_owned()),
            path: sent(take(":path"), request.path_and_query()),
            authority: sent(take(":authority"), request.authority()),
            mirrors: profile
                .into_iter()
                .flat_map(ForwardingProfile::mirrors)
                .map(|(cluster, per_million)| Mirror { cluster: cluster.to_owned(), per_million })
                .collect(),
            timeout_ms: number(take("x-envoy-upstream-rq-timeout-ms")),
            retries,
            edits: edits.iter().map(owned).chain(others).collect(),
        };
        // An order that is not known here is still shown, as the header that it is.
        let unknown =
            said.into_iter().map(|(name, value)| HeaderEdit::Set(name.into(), value.into_bytes().into()));
        Self { edits: forward.edits.into_iter().chain(unknown).collect(), ..forward }
    }
}

fn is_order(name: &str) -> bool {
    matches!(name, ":path" | ":authority") || mesh_policy_core::control::is_control_header(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_policy_core::request::HeaderMap;

    fn set(name: &'static str, value: &'static str) -> HeaderEdit<'static> {
        HeaderEdit::Set(name.into(), value.as_bytes().into())
    }

    #[test]
    fn orders_to_the_router_read_as_what_they_do() {
        let buffer = HeaderMap::write(&[(":authority", "a.com"), (":path", "/v1")]);
        let headers = HeaderMap::parse(&buffer).unwrap();
        let orders = [
            HeaderEdit::Remove("x-envoy-retry-on".into()),
            set(CLUSTER, "outbound|80||b"),
            set(PROFILE, "retries=other-hosts;mirror=outbound|80|v2|b@500000"),
            set("x-envoy-upstream-rq-timeout-ms", "5000"),
            set(":path", "/v2"),
        ];
        let request = RequestView::new(&headers, &());
        let forward = Forward::new("b", None, &request, &orders, &[set("debug", "true")]);
        let expected = Forward {
            cluster: "outbound|80||b".to_owned(),
            path: Some("/v2".to_owned()),
            authority: Some("a.com".to_owned()),
            mirrors: Vec::new(),
            timeout_ms: Some(5000),
            retries: None,
            edits: vec![set("debug", "true")],
        };
        assert_eq!(forward, expected);
    }

    #[test]
    fn an_unknown_order_is_shown_as_the_header_that_it_is() {
        let buffer = HeaderMap::write::<&str, &str>(&[]);
        let headers = HeaderMap::parse(&buffer).unwrap();
        let orders =
            [set("x-envoy-upstream-stream-duration-ms", "9"), HeaderEdit::Add("x".into(), b"1".into())];
        let forward = Forward::new("b", None, &RequestView::new(&headers, &()), &orders, &[]);
        assert_eq!(forward.edits, [HeaderEdit::Add("x".into(), b"1".into()), orders[0].clone()]);
    }
}
