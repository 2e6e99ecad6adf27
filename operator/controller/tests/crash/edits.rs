//! Changes of children by another client, by kind: changed fields, and added ones that the desired object does not have.

use agora_operator::kinds::Kind;
use serde_json::{Value, json};

/// A change of one child.
pub struct Edit {
    pub kind: Kind,
    pub name: &'static str,
    /// A strategic merge patch.
    pub patch: Value,
}

/// A field of the pod spec.
fn pod(spec: &Value) -> Edit {
    deployment(&json!({"template": {"spec": spec}}))
}

/// A field of the container.
fn container(mut fields: Value) -> Edit {
    fields["name"] = json!("cart");
    pod(&json!({"containers": [fields]}))
}

fn deployment(spec: &Value) -> Edit {
    of(Kind::Deployment, "shop-cart", json!({"spec": spec}))
}

const fn of(kind: Kind, name: &'static str, patch: Value) -> Edit {
    Edit { kind, name, patch }
}

pub fn all() -> Vec<Edit> {
    let mut edits: Vec<Edit> = pod_specs().iter().map(pod).collect();
    edits.extend(containers().into_iter().map(container));
    edits.extend(deployments().iter().map(deployment));
    edits.extend(services().into_iter().map(|spec| of(Kind::Service, "shop-cart", json!({"spec": spec}))));
    edits.extend(network_policies().into_iter().map(|spec| {
        let patch = json!({"spec": spec});
        of(Kind::NetworkPolicy, "shop-default-deny", patch)
    }));
    edits.extend(others());
    edits
}

fn pod_specs() -> Vec<Value> {
    vec![
        json!({"initContainers": [{"name": "first", "image": "x"}]}),
        json!({"containers": [{"name": "second", "image": "x"}]}),
        json!({"hostNetwork": true}),
        json!({"hostPID": true}),
        json!({"hostIPC": true}),
        json!({"shareProcessNamespace": true}),
        json!({"dnsPolicy": "Default"}),
        json!({"dnsConfig": {"nameservers": ["192.0.2.1"]}}),
        json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["shop-order"]}]}),
        json!({"nodeName": "node-1"}),
        json!({"nodeSelector": {"disk": "fast"}}),
        json!({"tolerations": [{"operator": "Exists"}]}),
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]}}}}),
        json!({"priorityClassName": "system-node-critical"}),
        json!({"runtimeClassName": "other"}),
        json!({"schedulerName": "other"}),
        json!({"serviceAccountName": "default", "serviceAccount": "default"}),
        json!({"automountServiceAccountToken": true}),
        json!({"enableServiceLinks": true}),
        json!({"securityContext": {"fsGroup": 0}}),
        json!({"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}),
        json!({"terminationGracePeriodSeconds": 0}),
        json!({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}),
        json!({"hostname": "other", "subdomain": "other"}),
        json!({"imagePullSecrets": [{"name": "other"}]}),
        json!({"readinessGates": [{"conditionType": "other.example/gate"}]}),
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]}),
    ]
}

fn containers() -> Vec<Value> {
    vec![
        json!({"image": "other"}),
        json!({"command": ["sleep"]}),
        json!({"args": ["other"]}),
        json!({"workingDir": "/tmp"}),
        json!({"env": [{"name": "ADDED", "value": "x"}]}),
        json!({"envFrom": [{"secretRef": {"name": "other"}}]}),
        json!({"ports": [{"containerPort": 22, "name": "ssh"}]}),
        json!({"resources": {"limits": {"cpu": "90m"}}}),
        json!({"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}),
        json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": false}}),
        json!({"securityContext": {"allowPrivilegeEscalation": true}}),
        json!({"livenessProbe": null}),
        json!({"lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}}}),
        json!({"volumeMounts": [{"name": "credentials", "mountPath": "/other"}]}),
        json!({"stdin": true, "tty": true}),
        json!({"terminationMessagePolicy": "FallbackToLogsOnError"}),
        json!({"imagePullPolicy": "Always"}),
    ]
}

fn deployments() -> Vec<Value> {
    vec![
        json!({"paused": true}),
        json!({"minReadySeconds": 60}),
        json!({"revisionHistoryLimit": 0}),
        json!({"replicas": 0}),
        json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}),
        json!({"template": {"metadata": {"labels": {"added": "x"}}}}),
        json!({"template": {"metadata": {"annotations": {"added": "x"}}}}),
    ]
}

fn services() -> Vec<Value> {
    vec![
        json!({"selector": {"added": "x"}}),
        json!({"type": "NodePort"}),
        json!({"externalIPs": ["192.0.2.1"]}),
        json!({"sessionAffinity": "ClientIP"}),
        json!({"publishNotReadyAddresses": true}),
        json!({"internalTrafficPolicy": "Local"}),
        json!({"ports": [{"port": 22, "name": "ssh"}]}),
    ]
}

fn network_policies() -> Vec<Value> {
    vec![
        json!({"ingress": [{}]}),
        json!({"egress": [{}]}),
        json!({"policyTypes": ["Egress"]}),
        json!({"podSelector": {"matchLabels": {"added": "x"}}}),
    ]
}

/// Of a migration Job that has not ended. Its name contains a hash.
pub fn running_job() -> Vec<Value> {
    vec![
        json!({"spec": {"suspend": true}}),
        json!({"spec": {"parallelism": 0}}),
        json!({"spec": {"activeDeadlineSeconds": 1}}),
        json!({"spec": {"activeDeadlineSeconds": null}}),
        json!({"spec": {"backoffLimit": 0}}),
        json!({"spec": {"ttlSecondsAfterFinished": 0}}),
        json!({"metadata": {"ownerReferences": null}}),
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}),
    ]
}

fn others() -> Vec<Edit> {
    let autoscaler = |spec| of(Kind::HorizontalPodAutoscaler, "shop-cart", json!({"spec": spec}));
    let budget = |spec| of(Kind::PodDisruptionBudget, "shop-cart", json!({"spec": spec}));
    let ingress = |spec| of(Kind::Ingress, "shop-gateway", json!({"spec": spec}));
    let backend = json!({"service": {"name": "other", "port": {"number": 80}}});
    vec![
        autoscaler(json!({"minReplicas": 2})),
        autoscaler(json!({"maxReplicas": 90})),
        autoscaler(json!({"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}})),
        autoscaler(json!({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 600}}})),
        autoscaler(json!({"metrics": [{"type": "Resource", "resource": {
            "name": "memory", "target": {"type": "Utilization", "averageUtilization": 1}}}]})),
        budget(json!({"maxUnavailable": 9})),
        budget(json!({"maxUnavailable": null, "minAvailable": 1})),
        budget(json!({"unhealthyPodEvictionPolicy": "IfHealthyBudget"})),
        budget(json!({"selector": {"matchLabels": {"added": "x"}}})),
        ingress(json!({"ingressClassName": "other"})),
        ingress(json!({"defaultBackend": backend})),
        ingress(json!({"tls": [{"hosts": ["other.test"], "secretName": "other"}]})),
        ingress(json!({"rules": [{"host": "other.test", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": backend}]}}]})),
        of(Kind::ConfigMap, "shop-cart", json!({"data": {"ADDED": "x"}})),
        of(Kind::ConfigMap, "shop-cart", json!({"data": {"PORT": "1"}})),
        of(Kind::ConfigMap, "shop-cart", json!({"binaryData": {"added": "eA=="}})),
        of(Kind::Secret, "shop-cart-database", json!({"data": {"added": "eA=="}})),
        of(Kind::Secret, "shop-cart-database", json!({"data": {"url": "eA=="}})),
        of(Kind::ConfigMap, "shop-cart", json!({"immutable": true})),
        of(Kind::ConfigMap, "shop-jwks", json!({"data": {"jwks.json": "{}"}, "immutable": true})),
        of(Kind::Secret, "shop-cart-database", json!({"data": {"added": "eA=="}, "immutable": true})),
        of(Kind::Secret, "shop-signing", json!({"immutable": true})),
        of(Kind::Secret, "shop-internal", json!({"immutable": true})),
        of(Kind::ServiceAccount, "shop-cart", json!({"automountServiceAccountToken": true})),
        of(Kind::Service, "shop-cart", json!({"metadata": {"ownerReferences": null}})),
        of(Kind::Deployment, "shop-cart", json!({"metadata": {"labels": {"app.kubernetes.io/name": "other"}}})),
        of(Kind::ConfigMap, "shop-cart", json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "other"}}})),
        of(Kind::Secret, "shop-cart-database", json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}})),
    ]
}
