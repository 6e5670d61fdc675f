use super::*;
use crate::Sources;
use serde_json::json;

fn filter(provider: &str) -> Value {
    let mut sources = Sources::default();
    sources.add_mesh_config_text("mesh.yaml", &format!("extensionProviders: [{{name: opa, {provider}}}]"));
    assert_eq!(sources.findings(), []);
    let config = &sources.mesh_config().unwrap().config;
    let providers = Providers::new(config, |host, port| Ok(format!("outbound|{port}||{host}")));
    providers.get("opa").unwrap().http_filter("opa", Trigger::Header)["typed_config"].clone()
}

#[test]
fn every_field_of_a_provider_reaches_envoy() {
    let http = filter(
        "envoyExtAuthzHttp: {service: shop/OPA.shop, port: 80, timeout: 1.5s, pathPrefix: /check, failOpen: true,
         statusOnError: \"503\", includeHeadersInCheck: [x-A, x-*, '*-id', '*'], includeAdditionalHeadersInCheck: {b: '2', a: '1'},
         includeRequestBodyInCheck: {maxRequestBytes: 10, allowPartialMessage: true, packAsBytes: true},
         headersToUpstreamOnAllow: [up], headersToDownstreamOnDeny: [deny], headersToDownstreamOnAllow: [allow],
         clearRouteCache: true}",
    );
    let one = |name: &str| json!({"patterns": [{"exact": name, "ignore_case": true}]});
    assert_eq!(
        http,
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "http_service": {
                "server_uri": {"uri": "http://opa.shop", "cluster": "outbound|80||opa.shop", "timeout": "1.500s"},
                "path_prefix": "/check",
                "authorization_request": {"headers_to_add": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]},
                "authorization_response": {
                    "allowed_upstream_headers": one("up"),
                    "allowed_client_headers": one("deny"),
                    "allowed_client_headers_on_success": one("allow"),
                },
            },
            "allowed_headers": {"patterns": [
                {"exact": "x-A", "ignore_case": true},
                {"prefix": "x-", "ignore_case": true},
                {"suffix": "-id", "ignore_case": true},
                {"safe_regex": {"regex": ".+"}},
            ]},
            "failure_mode_allow": true,
            "status_on_error": {"code": 503},
            "with_request_body": {"max_request_bytes": 10, "allow_partial_message": true, "pack_as_bytes": true},
            "clear_route_cache": true,
            "filter_enabled_metadata": {
                "filter": "mesh_policy.ext_authz",
                "path": [{"key": "provider"}],
                "value": {"string_match": {"exact": "opa"}},
            },
        })
    );
    let grpc = filter("envoyExtAuthzGrpc: {service: opa.shop, port: 81, timeout: 2s, clearRouteCache: true}");
    assert_eq!(
        grpc["grpc_service"],
        json!({"envoy_grpc": {"cluster_name": "outbound|81||opa.shop", "authority": "opa.shop"}, "timeout": "2s"})
    );
    assert_eq!((&grpc["failure_mode_allow"], &grpc["clear_route_cache"]), (&json!(false), &json!(true)));
    let short = filter("envoyExtAuthzHttp: {service: opa.shop, port: 80}");
    assert_eq!(short["http_service"]["server_uri"]["timeout"], "600s");
    assert_eq!(short["failure_mode_allow"], false);
}
