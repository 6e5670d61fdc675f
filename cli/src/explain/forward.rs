//! What is sent upstream, read back from the orders that the filters give to Envoy's router.

use crate::explain::route::owned;
use mesh_policy_core::control::{CLUSTER, MIRRORS, RETRIES, RETRIES_AVOID_HOSTS};
use mesh_policy_core::effect::HeaderEdit;
use mesh_policy_core::request::RequestView;
use std::collections::BTreeMap;

/// A forwarded request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Forward {
    pub cluster: String,
    pub path: Option<String>,
    pub authority: Option<String>,
    pub mirrors: Vec<String>,
    pub timeout_ms: Option<u64>,
    /// The rule's own retry policy; Istio's default applies where it has none.
    pub retries: Option<Retries>,
    /// Operations on the request's headers, in order.
    pub edits: Vec<HeaderEdit<'static>>,
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
}

impl Forward {
    /// From the router filter's orders and the rule's own header operations.
    pub fn new(
        cluster: &str,
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
        let retries = take(RETRIES).map(|hosts| Retries {
            avoids_tried_hosts: hosts == RETRIES_AVOID_HOSTS,
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
            mirrors: MIRRORS.iter().filter_map(|name| take(name)).collect(),
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
            set(MIRRORS[0], "outbound|80|v2|b"),
            set(RETRIES, RETRIES_AVOID_HOSTS),
            set("x-envoy-max-retries", "3"),
            set("x-envoy-retry-on", "connect-failure,retriable-status-codes"),
            set("x-envoy-retriable-status-codes", "503"),
            set("x-envoy-upstream-rq-per-try-timeout-ms", "2000"),
            set("x-envoy-upstream-rq-timeout-ms", "5000"),
            set(":path", "/v2"),
        ];
        let forward = Forward::new("b", &RequestView::new(&headers, &()), &orders, &[set("debug", "true")]);
        let expected = Forward {
            cluster: "outbound|80||b".to_owned(),
            path: Some("/v2".to_owned()),
            authority: Some("a.com".to_owned()),
            mirrors: vec!["outbound|80|v2|b".to_owned()],
            timeout_ms: Some(5000),
            retries: Some(Retries {
                attempts: 3,
                on: vec!["connect-failure".to_owned(), "retriable-status-codes".to_owned()],
                status_codes: vec!["503".to_owned()],
                per_try_timeout_ms: Some(2000),
                avoids_tried_hosts: true,
            }),
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
        let forward = Forward::new("b", &RequestView::new(&headers, &()), &orders, &[]);
        assert_eq!(forward.edits, [HeaderEdit::Add("x".into(), b"1".into()), orders[0].clone()]);
    }
}
