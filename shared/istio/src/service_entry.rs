//! `ServiceEntry` and `WorkloadEntry`: the services there are, and where their instances run.

use crate::decode::{wire, wire_enum};
use std::collections::BTreeMap;

wire! {
    /// `spec` of a ServiceEntry.
    pub struct ServiceEntry {
        /// Its names.
        "hosts" => hosts: Vec<String>,
        /// Its virtual addresses.
        "addresses" => addresses: Vec<String>,
        /// Its ports.
        "ports" => ports: Vec<ServicePort>,
        /// Inside or outside the mesh.
        "location" => location: Option<Location>,
        /// How its instances are found.
        "resolution" => resolution: Option<Resolution>,
        /// Its instances.
        "endpoints" => endpoints: Vec<WorkloadEntry>,
        /// Its instances, by the labels of WorkloadEntries.
        "workloadSelector" => workload_selector: Option<LabelSelector>,
        /// The namespaces that see it.
        "exportTo" => export_to: Vec<String>,
        /// Names that its certificates must carry.
        "subjectAltNames" => subject_alt_names: Vec<String>,
    }
}

wire! {
    /// A port of a service.
    pub struct ServicePort {
        /// The number by which it is known.
        "number" => number: Option<u32>,
        /// What is spoken there.
        "protocol" => protocol: Option<String>,
        /// A name, unique in the service.
        "name" => name: Option<String>,
        /// The port of the instances; `number` when absent.
        "targetPort" => target_port: Option<u32>,
    }
}

wire! {
    /// Labels that must all be equal.
    pub struct LabelSelector {
        /// The labels.
        "labels" => labels: BTreeMap<String, String>,
    }
}

wire_enum! {
    /// Whether a service belongs to the mesh.
    pub enum Location {
        /// Outside: no mesh certificates.
        "MESH_EXTERNAL" = 0 => MeshExternal,
        /// Inside.
        "MESH_INTERNAL" = 1 => MeshInternal,
    }
}

wire_enum! {
    /// How the instances of a service are found.
    pub enum Resolution {
        /// The connection's own destination.
        "NONE" = 0 => None,
        /// Listed addresses.
        "STATIC" = 1 => Static,
        /// All addresses that DNS gives.
        "DNS" = 2 => Dns,
        /// One address that DNS gives, for each new connection.
        "DNS_ROUND_ROBIN" = 3 => DnsRoundRobin,
        /// The name in each request.
        "DYNAMIC_DNS" = 4 => DynamicDns,
    }
}

wire! {
    /// One instance: an endpoint of a ServiceEntry, or the `spec` of a WorkloadEntry.
    pub struct WorkloadEntry {
        /// Where it listens.
        "address" => address: Option<String>,
        /// Its ports by the service's port names.
        "ports" => ports: BTreeMap<String, u32>,
        /// Its labels; subsets select by them.
        "labels" => labels: BTreeMap<String, String>,
        /// Its network.
        "network" => network: Option<String>,
        /// Its locality, `region/zone/subzone`.
        "locality" => locality: Option<String>,
        /// Its share of the load.
        "weight" => weight: Option<u32>,
        /// Its identity.
        "serviceAccount" => service_account: Option<String>,
    }
}
