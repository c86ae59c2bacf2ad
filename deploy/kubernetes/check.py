"""Checks the rules of a rendered overlay that no schema has: check.py RENDERED REPOSITORY.

Selectors must find their pods, names must exist, every pod must be confined, and the program must have the metrics,
settings and drain that the manifests rely on.
"""

import re
import sys
from pathlib import Path

import yaml

# Secrets that the operator makes (docs/deploying.md), and their keys.
SECRETS = {
    "countree-ca": {"ca.pem", "ca.key"},
    "countree-auth": {"secret"},
    "countree-store": {"url", "password"},
    "live-tls": set(),
}
# The least time, in seconds, that a tier gets to leave.
LEAVE_S = {"leaf": 60, "root": 15, "broadcast": 30, "redis": 30}

problems = []


def check(is_good, problem):
    if not is_good:
        problems.append(problem)


def main():
    rendered, repository = Path(sys.argv[1]), Path(sys.argv[2])
    objects = [o for o in yaml.safe_load_all(rendered.read_text()) if o]
    by_kind = lambda *kinds: [o for o in objects if o["kind"] in kinds]
    workloads = by_kind("Deployment", "StatefulSet")
    services = {s["metadata"]["name"]: s for s in by_kind("Service")}
    sources = "".join(p.read_text() for p in repository.glob("*/src/**/*.rs"))

    for workload in workloads:
        confined(workload)
        leads_somewhere(workload, services, by_kind("ConfigMap"))
    for settings in by_kind("ConfigMap"):
        known_settings(settings, sources)
    selectors_find_pods(objects, workloads)
    for scaler in by_kind("HorizontalPodAutoscaler"):
        scales_what_is_there(scaler, workloads, sources)
    ingresses_lead_to_services(by_kind("Ingress"), services)
    tiers = {name(w) for w in workloads}
    check({"leaf", "root", "broadcast"} <= tiers, f"a tier is missing: {tiers}")
    budgets = {name(b) for b in by_kind("PodDisruptionBudget")}
    check({"leaf", "root", "broadcast"} <= budgets, f"a tier has no disruption budget: {budgets}")

    for problem in problems:
        print(f"{rendered.name}: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def name(o):
    return o["metadata"]["name"]


def pod(workload):
    return workload["spec"]["template"]


def containers(workload):
    spec = pod(workload)["spec"]
    return spec.get("initContainers", []) + spec["containers"]


def confined(workload):
    spec, who = pod(workload)["spec"], name(workload)
    context = spec["securityContext"]
    check(context.get("runAsNonRoot") is True, f"{who} may run as root")
    check(context.get("seccompProfile") == {"type": "RuntimeDefault"}, f"{who} has no seccomp profile")
    check(spec.get("automountServiceAccountToken") is False, f"{who} gets a token of the API")
    check(spec.get("terminationGracePeriodSeconds", 30) >= LEAVE_S[who], f"{who} has too little time to leave")
    for container in containers(workload):
        own, where = container.get("securityContext", {}), f"{who}/{container['name']}"
        check(own.get("allowPrivilegeEscalation") is False, f"{where} may gain privileges")
        check(own.get("readOnlyRootFilesystem") is True, f"{where} may write to its image")
        check(own.get("capabilities") == {"drop": ["ALL"]}, f"{where} keeps capabilities")
        resources = container.get("resources", {})
        check({"cpu", "memory"} <= set(resources.get("requests", {})), f"{where} requests nothing")
        check("memory" in resources.get("limits", {}), f"{where} has no limit of memory")


def leads_somewhere(workload, services, config_maps):
    spec, who = pod(workload)["spec"], name(workload)
    volumes = {v["name"] for v in spec.get("volumes", [])}
    volumes |= {name(c) for c in workload["spec"].get("volumeClaimTemplates", [])}
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            check(volume["secret"]["secretName"] in SECRETS, f"{who}: nobody makes {volume['secret']}")
    if workload["kind"] == "StatefulSet":
        service = services.get(workload["spec"]["serviceName"])
        check(service and service["spec"].get("clusterIP") == "None", f"{who} has no headless service")
    for container in containers(workload):
        where = f"{who}/{container['name']}"
        for mount in container.get("volumeMounts", []):
            check(mount["name"] in volumes, f"{where} mounts no volume: {mount}")
        for variable in container.get("env", []):
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            if secret:
                check(secret["key"] in SECRETS.get(secret["name"], ()), f"{where}: nobody makes {secret}")
        for source in container.get("envFrom", []):
            wanted = source["configMapRef"]["name"]
            check(any(name(c) == wanted for c in config_maps), f"{where}: there is no {wanted}")
        ports = {p["name"] for p in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = container.get(probe, {}).get("httpGet", {}).get("port")
            check(port is None or port in ports, f"{where}: {probe} asks at {port}")
    if who in ("leaf", "root", "broadcast"):
        node = spec["containers"][0]
        check(node["args"] == [who], f"{who} runs {node['args']}")
        probes = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
        for probe, path in probes.items():
            check(node.get(probe, {}).get("httpGet", {}).get("path") == path, f"{who}: {probe} is not {path}")
        holders = [c["name"] for c in containers(workload) for m in c["volumeMounts"] if m["name"] == "ca"]
        check(holders == ["certificate"], f"{who}: the CA's key is in {holders}")


def known_settings(settings, sources):
    for variable in settings["data"]:
        match = re.fullmatch(r"COUNTREE_([A-Z]+)_([A-Z_]+)", variable)
        section, key = match.groups() if match else ("", "")
        is_setting = section in ("CLUSTER", "NODE", "LEAF", "ROOT", "BROADCAST", "HTTP", "AUTH")
        known = f'"{key.lower()}"' in sources if is_setting else f'"{variable}"' in sources
        check(known, f"{variable} is not a setting")


def selects(selector, labels):
    selector = selector or {}
    expressions = selector.get("matchExpressions", [])
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items()) and all(
        labels.get(e["key"]) in e["values"] for e in expressions
    )


def selectors_find_pods(objects, workloads):
    labels = {name(w): pod(w)["metadata"]["labels"] for w in workloads}
    ports = {
        name(w): {p["name"]: (p["containerPort"], p["protocol"]) for c in pod(w)["spec"]["containers"] for p in c["ports"]}
        for w in workloads
    }
    for o in objects:
        kind, spec = o["kind"], o.get("spec", {})
        if kind == "Service":
            selector = {"matchLabels": spec["selector"]}
        elif kind == "NetworkPolicy":
            selector = spec["podSelector"]
        elif kind in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
            selector = spec["selector"]
        else:
            continue
        found = [who for who, own in labels.items() if selects(selector, own)]
        check(found, f"{kind} {name(o)} selects no pod")
        if kind in ("Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
            check(len(found) == 1, f"{kind} {name(o)} selects the pods of {found}")
        if kind == "Service":
            for port in spec["ports"]:
                target = ports[found[0]].get(port["targetPort"]) if found else None
                check(target and target[1] == port["protocol"], f"Service {name(o)}: no {port} in {found}")
        if kind == "NetworkPolicy":
            peers = [p for rule in spec.get("ingress", []) for p in rule.get("from", [])]
            peers += [p for rule in spec.get("egress", []) for p in rule.get("to", [])]
            for peer in peers:
                if "namespaceSelector" not in peer:
                    known = any(selects(peer["podSelector"], own) for own in labels.values())
                    check(known, f"NetworkPolicy {name(o)}: nobody is {peer}")


def scales_what_is_there(scaler, workloads, sources):
    spec, who = scaler["spec"], name(scaler)
    target = spec["scaleTargetRef"]
    found = [w for w in workloads if (w["kind"], name(w)) == (target["kind"], target["name"])]
    check(found, f"the scaler {who} has no target: {target}")
    for workload in found:
        check("replicas" not in workload["spec"], f"{who} is scaled, and every apply sets it back")
        for metric in spec["metrics"]:
            if metric["type"] == "Pods":
                measured = metric["pods"]["metric"]["name"]
                check(f'"{measured}"' in sources, f"no node measures {measured}")
            if metric["type"] == "ContainerResource":
                wanted = metric["containerResource"]["container"]
                check(any(c["name"] == wanted for c in containers(workload)), f"{who} has no container {wanted}")


def ingresses_lead_to_services(ingresses, services):
    for ingress in ingresses:
        for path in (p for rule in ingress["spec"]["rules"] for p in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            ports = services.get(backend["name"], {}).get("spec", {}).get("ports", [])
            check(any(p["name"] == backend["port"]["name"] for p in ports), f"nothing is behind {path['path']}")


main()
