//! Local replies in the words of the ABI.

use crate::abi;
use crate::host_call::HostError;
use mesh_policy_core::effect::LocalReply;
use mesh_policy_core::request::HeaderMap;

/// Answers the request of the effective context.
///
/// Envoy turns the answer to a gRPC request into status 200 and a gRPC status, and takes the one that it is given even
/// where that means "none"; so it is always given one.
pub fn send(reply: &LocalReply) -> Result<(), HostError> {
    let headers = HeaderMap::write(&reply.headers);
    abi::send_local_reply(reply.status, &reply.details, &reply.body, &headers, reply.grpc_code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{self, Effect};

    #[test]
    fn a_grpc_client_gets_the_status_asked_for_or_envoys_mapping() {
        for (status, asked, given) in [
            (403, Some(7), 7),
            (200, Some(0), 0),
            (404, None, 12),
            (503, None, 14),
            (418, None, 2),
            (400, None, 13),
        ] {
            fake::reset(&[]);
            let headers = vec![("location".to_owned(), b"/x".to_vec())];
            let reply = LocalReply {
                status,
                headers: headers.clone(),
                body: b"no".to_vec(),
                grpc_status: asked,
                details: "why".to_owned(),
            };
            send(&reply).unwrap();
            let expected = Effect::LocalReply {
                context: 0,
                status,
                details: "why".to_owned(),
                body: b"no".to_vec(),
                headers,
                grpc_status: given,
            };
            assert_eq!(fake::effects(), [expected]);
        }
    }
}
