//! The guide's AuthorizationPolicy section: who may do what, proved by mTLS.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    report::{Report, words},
    workload::{Caller, Workload, Workloads},
};
use crate::{Result, client::Request};

const DENIED: &str = "403 RBAC: access denied";
const ALLOWED: &str = "200";
/// The address that the policy of reports excludes.
const EXCLUDED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// One request and what becomes of it.
struct Case {
    example: &'static str,
    caller: Caller,
    from: Option<IpAddr>,
    request: Request,
    expected: &'static str,
}

impl Case {
    fn new(example: &'static str, caller: Caller, request: Request, expected: &'static str) -> Self {
        Self { example, caller, from: None, request, expected }
    }

    fn from(self, address: IpAddr) -> Self {
        Self { from: Some(address), ..self }
    }
}

/// Shows the rows.
pub fn show(report: &mut Report<'_>, workloads: &Workloads) -> Result<()> {
    backend(report, workloads)?;
    reports(report, workloads)?;
    others(report, workloads)
}

fn backend(report: &mut Report<'_>, workloads: &Workloads) -> Result<()> {
    use Caller::{Anonymous, Frontend, FrontendTwo, Other};
    let get = |path: &str| Request::get(path);
    let claim = "URI=spiffe://cluster.local/ns/my-app/sa/frontend-sa";
    report.section("AuthorizationPolicy: frontend may GET /api/v1/*  (my-app/backend, mTLS)");
    let cases = [
        Case::new("frontend GETs an API path", Frontend, get("/api/v1/users"), ALLOWED),
        Case::new("- with a query", Frontend, get("/api/v1/users?page=2"), ALLOWED),
        Case::new("another method", Frontend, Request::new("POST", "/api/v1/users"), DENIED),
        Case::new("another path", Frontend, get("/api/v2/users"), DENIED),
        Case::new("- almost the prefix", Frontend, get("/api/v1"), DENIED),
        Case::new("- the prefix in the query", Frontend, get("/admin?/api/v1/users"), DENIED),
        Case::new("- the prefix left again", Frontend, get("/api/v1/../../admin"), DENIED),
        Case::new("another principal", Other, get("/api/v1/users"), DENIED),
        Case::new("- almost the same name", FrontendTwo, get("/api/v1/users"), DENIED),
        Case::new("no certificate", Anonymous, get("/api/v1/users"), DENIED),
        Case::new(
            "- an identity claimed in a header",
            Anonymous,
            get("/api/v1/users").header("x-forwarded-client-cert", claim),
            DENIED,
        ),
    ];
    judge(report, workloads, &workloads.backend, cases)?;
    report.section("DENY overrides ALLOW: /api/v1/secret*  (my-app/backend, mTLS)");
    let cases = [
        Case::new("frontend GETs a secret", Frontend, get("/api/v1/secret"), DENIED),
        Case::new("- below it", Frontend, get("/api/v1/secret/key"), DENIED),
        Case::new("- a query does not help", Frontend, get("/api/v1/secret?a=/api/v1/users"), DENIED),
        Case::new("- nor a detour", Frontend, get("/api/v1/users/../secret"), DENIED),
        Case::new("- nor an escape", Frontend, get("/api/v1/%73ecret"), DENIED),
        Case::new("what only resembles it", Frontend, get("/api/v1/no-secret"), ALLOWED),
    ];
    judge(report, workloads, &workloads.backend, cases)
}

fn reports(report: &mut Report<'_>, workloads: &Workloads) -> Result<()> {
    use Caller::{Anonymous, Frontend, Shop};
    report.section(
        "By namespace, address and host: shop, not from 127.0.0.9, reports.my-app  (my-app/reports, mTLS)",
    );
    let get = |host: &str| Request::get("/daily").host(host);
    let cases = [
        Case::new("a caller in shop", Shop, get("reports.my-app"), ALLOWED),
        Case::new("- naming a port", Shop, get("reports.my-app:8443"), ALLOWED),
        Case::new("another namespace", Frontend, get("reports.my-app"), DENIED),
        Case::new("no certificate, no namespace", Anonymous, get("reports.my-app"), DENIED),
        Case::new("another host", Shop, get("reports.shop"), DENIED),
        Case::new("from the excluded address", Shop, get("reports.my-app"), DENIED).from(EXCLUDED),
        Case::new(
            "- claiming another one",
            Shop,
            get("reports.my-app").header("x-forwarded-for", "10.0.0.1"),
            DENIED,
        )
        .from(EXCLUDED),
    ];
    judge(report, workloads, &workloads.reports, cases)
}

fn others(report: &mut Report<'_>, workloads: &Workloads) -> Result<()> {
    use Caller::{Anonymous, Frontend};
    report.section("No policy: everything is allowed  (my-app/other, mTLS)");
    let cases = [
        Case::new("any caller", Frontend, Request::new("DELETE", "/anything"), ALLOWED),
        Case::new("no certificate", Anonymous, Request::new("POST", "/anything"), ALLOWED),
    ];
    judge(report, workloads, &workloads.other, cases)?;
    report.section("deny-all: an empty spec allows nothing  (locked/vault, mTLS)");
    let cases = [
        Case::new("any caller", Frontend, Request::get("/"), DENIED),
        Case::new("no certificate", Anonymous, Request::get("/"), DENIED),
    ];
    judge(report, workloads, &workloads.locked, cases)
}

fn judge<const N: usize>(
    report: &mut Report<'_>,
    workloads: &Workloads,
    workload: &Workload,
    cases: [Case; N],
) -> Result<()> {
    let mut allowed = 0;
    workload.service.clear();
    for Case { example, caller, from, request, expected } in cases {
        allowed += usize::from(expected == ALLOWED);
        let place = from.map(|from| format!(" at {from}")).unwrap_or_default();
        let who = caller.principal().trim_start_matches("cluster.local/");
        report.exact(example, format!("{who}{place}: {}", words(&request)), expected, || {
            let response = workloads.client(workload, caller, from)?.send(&request)?;
            Ok(match response.echo() {
                Ok(_) => response.status.to_string(),
                Err(_) => format!("{} {}", response.status, response.text()),
            })
        })?;
    }
    report.exact(
        "the service hears what is allowed, and nothing else",
        "all of the above",
        &format!("requests: {allowed}"),
        || Ok(format!("requests: {}", workload.service.count())),
    )
}
