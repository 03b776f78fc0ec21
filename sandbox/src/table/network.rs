//! Services, endpoints, ingresses and network policies.

use super::text::{items, or_none, pairs, selector, str_of};
use super::{AGE, KindTable, NAME, Row, column};
use serde_json::{Value, json};

pub(super) const TABLES: &[KindTable] = &[
    KindTable {
        group: "",
        kind: "Service",
        columns: &[
            NAME,
            column("Type", "string", 0, ".spec.type"),
            column("Cluster-IP", "string", 0, ".spec.clusterIP"),
            column("External-IP", "string", 0, ".spec.externalIPs"),
            column("Port(s)", "string", 0, ".spec.ports"),
            AGE,
            column("Selector", "string", 1, ".spec.selector"),
        ],
        cells: service,
    },
    KindTable {
        group: "",
        kind: "Endpoints",
        columns: &[NAME, column("Endpoints", "string", 0, ".subsets"), AGE],
        cells: endpoints,
    },
    KindTable {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        columns: &[
            NAME,
            column("AddressType", "string", 0, ".addressType"),
            column("Ports", "string", 0, ".ports"),
            column("Endpoints", "string", 0, ".endpoints"),
            AGE,
        ],
        cells: endpoint_slice,
    },
    KindTable {
        group: "networking.k8s.io",
        kind: "Ingress",
        columns: &[
            NAME,
            column(
                "Class",
                "string",
                0,
                "The name of the IngressClass resource that should be used for additional configuration",
            ),
            column(
                "Hosts",
                "string",
                0,
                "Hosts that incoming requests are matched against before the ingress rule",
            ),
            column(
                "Address",
                "string",
                0,
                "Address is a list containing ingress points for the load-balancer",
            ),
            column("Ports", "string", 0, "Ports of TLS configurations that open"),
            AGE,
        ],
        cells: ingress,
    },
    KindTable {
        group: "networking.k8s.io",
        kind: "IngressClass",
        columns: &[
            NAME,
            column("Controller", "string", 0, "Controller that is responsible for handling this class"),
            column("Parameters", "string", 0, "A reference to a resource with additional parameters"),
            AGE,
        ],
        cells: ingress_class,
    },
    KindTable {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        columns: &[NAME, column("Pod-Selector", "string", 0, ".spec.podSelector"), AGE],
        cells: |row| vec![row.name(), json!(selector(row.at("/spec/podSelector"))), row.age()],
    },
];

fn service(row: &Row<'_>) -> Vec<Value> {
    vec![
        row.name(),
        row.at("/spec/type").clone(),
        json!(or_none(row.text("/spec/clusterIP").to_owned())),
        json!(external_address(row)),
        json!(service_ports(row)),
        row.age(),
        json!(pairs(row.at("/spec/selector"))),
    ]
}

fn external_address(row: &Row<'_>) -> String {
    let given =
        items(row.object, "/spec/externalIPs").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    match row.text("/spec/type") {
        "ExternalName" => row.text("/spec/externalName").to_owned(),
        "LoadBalancer" => {
            let balancer = load_balancer(row.object);
            let all: Vec<&str> =
                [balancer.as_str(), given.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ => or_none(given),
    }
}

fn load_balancer(object: &Value) -> String {
    let points = items(object, "/status/loadBalancer/ingress").iter();
    let points = points.map(|point| {
        if str_of(point, "ip").is_empty() { str_of(point, "hostname") } else { str_of(point, "ip") }
    });
    points.collect::<Vec<_>>().join(",")
}

fn service_ports(row: &Row<'_>) -> String {
    let ports = items(row.object, "/spec/ports").iter().map(|port| {
        let protocol = str_of(port, "protocol");
        match port["nodePort"].as_i64() {
            Some(node) if node > 0 => format!("{}:{node}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    });
    or_none(ports.collect::<Vec<_>>().join(","))
}

/// Most addresses a cell shows.
const SHOWN: usize = 3;

fn shortened(all: Vec<String>, nothing: &str) -> String {
    if all.is_empty() {
        return nothing.to_owned();
    }
    let more = all.len().saturating_sub(SHOWN);
    let shown = all.into_iter().take(SHOWN).collect::<Vec<_>>().join(",");
    if more > 0 { format!("{shown} + {more} more...") } else { shown }
}

fn endpoints(row: &Row<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for subset in items(row.object, "/subsets") {
        let ports = items(subset, "/ports");
        for address in items(subset, "/addresses").iter().map(|address| str_of(address, "ip")) {
            match ports {
                [] => all.push(address.to_owned()),
                ports => all.extend(ports.iter().map(|port| format!("{address}:{}", port["port"]))),
            }
        }
    }
    vec![row.name(), json!(shortened(all, "<none>")), row.age()]
}

fn endpoint_slice(row: &Row<'_>) -> Vec<Value> {
    let ports = items(row.object, "/ports")
        .iter()
        .map(|port| port["port"].as_i64().map_or_else(|| "*".to_owned(), |p| p.to_string()));
    let addresses = items(row.object, "/endpoints").iter().flat_map(|endpoint| items(endpoint, "/addresses"));
    let addresses = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    vec![
        row.name(),
        row.at("/addressType").clone(),
        json!(shortened(ports.collect(), "<unset>")),
        json!(shortened(addresses, "<unset>")),
        row.age(),
    ]
}

fn ingress(row: &Row<'_>) -> Vec<Value> {
    let class = row.text("/spec/ingressClassName");
    let legacy =
        row.object["metadata"]["annotations"]["kubernetes.io/ingress.class"].as_str().unwrap_or_default();
    let class = if class.is_empty() { legacy } else { class };
    let hosts = items(row.object, "/spec/rules").iter().map(|rule| str_of(rule, "host").to_owned());
    let hosts: Vec<String> = hosts.filter(|host| !host.is_empty()).collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { shortened(hosts, "*") };
    let ports = if items(row.object, "/spec/tls").is_empty() { "80" } else { "80, 443" };
    vec![
        row.name(),
        json!(or_none(class.to_owned())),
        json!(hosts),
        json!(load_balancer(row.object)),
        json!(ports),
        row.age(),
    ]
}

fn ingress_class(row: &Row<'_>) -> Vec<Value> {
    let default =
        row.object["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"] == "true";
    let name = row.text("/metadata/name");
    let name = if default { format!("{name} (default)") } else { name.to_owned() };
    let parameters = row.at("/spec/parameters");
    let shown = match parameters.is_object() {
        true => {
            let group = str_of(parameters, "apiGroup");
            let kind = str_of(parameters, "kind");
            let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
            format!("{kind}/{}", str_of(parameters, "name"))
        }
        false => "<none>".to_owned(),
    };
    vec![json!(name), row.at("/spec/controller").clone(), json!(shown), row.age()]
}
