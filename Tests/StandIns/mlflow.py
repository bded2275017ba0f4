#!/usr/bin/env python3
"""A stand-in for an MLflow tracking server on the loopback, for tests: python3 mlflow.py [PORT]

Keeps runs in memory and counts what it gets: GET /_state answers with everything. POST /_control {"down": true} refuses
requests with 503, {"lose": N} takes the next N batches and {"lose_runs": N} makes the next N runs, and does not answer. Prints its port. Standard library only.
Written after https://mlflow.org/docs/latest/rest-api.html.
"""
import http.server, json, re, socket, sys, threading, urllib.parse

lock = threading.Lock()
experiments, runs, artifacts = {"Default": "0"}, {}, {}
control = {"down": False, "lose": 0, "lose_runs": 0}
requests = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, code):
        self.answer(status, {"error_code": code, "message": code.lower()})

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        asked = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        if url.path == "/_state":
            return self.answer(200, {
                "experiments": experiments, "runs": runs, "artifacts": artifacts, "requests": requests})
        if url.path == "/_control":
            control.update(json.loads(body))
            return self.answer(200, {})
        with lock:
            requests.append({"path": url.path, "user": self.headers.get("Authorization")})
            if control["down"]:
                return self.answer(503, {})
            prefix = "/api/2.0/mlflow-artifacts/artifacts/"
            if url.path.startswith(prefix):
                artifacts[url.path[len(prefix):]] = body.decode()
                return self.answer(200, {})
            if self.command == "POST":
                asked = json.loads(body)
            return self.call(url.path.removeprefix("/api/2.0/mlflow/"), asked)

    do_GET = do_POST = do_PUT = handle_any

    def call(self, path, asked):
        if path == "experiments/get-by-name":
            known = experiments.get(asked["experiment_name"])
            if known is None:
                return self.refuse(404, "RESOURCE_DOES_NOT_EXIST")
            return self.answer(200, {"experiment": {"experiment_id": known}})
        if path == "experiments/create":
            experiments[asked["name"]] = str(len(experiments))
            return self.answer(200, {"experiment_id": experiments[asked["name"]]})
        if path == "runs/create":
            name = f"run{len(runs)}"
            runs[name] = {
                "info": {"run_id": name, "status": "RUNNING", "experiment_id": asked["experiment_id"],
                         "artifact_uri": f"mlflow-artifacts:/{asked['experiment_id']}/{name}/artifacts"},
                "name": asked.get("run_name"), "tags": asked["tags"], "params": {}, "metrics": []}
            if control["lose_runs"] > 0:
                control["lose_runs"] -= 1
                return self.hang_up()
            return self.answer(200, {"run": {"info": runs[name]["info"]}})
        if path == "runs/search":
            key, value = re.fullmatch(r"tags.`(.+)` = '(.+)'", asked["filter"]).groups()
            found = [run for run in runs.values() if run["info"]["experiment_id"] in asked["experiment_ids"]
                     and {"key": key, "value": value} in run["tags"]]
            return self.answer(200, {"runs": [{"info": run["info"]} for run in found]})
        run = runs.get(asked.get("run_id"))
        if run is None:
            return self.refuse(404, "RESOURCE_DOES_NOT_EXIST")
        if path == "runs/get":
            return self.answer(200, {"run": {"info": run["info"]}})
        if path == "runs/update":
            run["info"]["status"] = asked["status"]
            return self.answer(200, {"run_info": run["info"]})
        if path == "metrics/get-history":
            found = [metric for metric in run["metrics"] if metric["key"] == asked["metric_key"]]
            return self.answer(200, {"metrics": found})
        if path == "runs/log-batch":
            metrics, params = asked.get("metrics", []), asked.get("params", [])
            if len(metrics) > 1000 or len(params) > 100 or any(
                    len(item["key"]) > 250 for item in metrics + params) or any(len(p["value"]) > 6000 for p in params):
                return self.refuse(400, "INVALID_PARAMETER_VALUE")
            for item in params:
                if run["params"].setdefault(item["key"], item["value"]) != item["value"]:
                    return self.refuse(400, "INVALID_PARAMETER_VALUE")
            run["metrics"] += metrics
            if metrics and control["lose"] > 0:
                control["lose"] -= 1
                return self.hang_up()
            return self.answer(200, {})
        return self.refuse(404, "ENDPOINT_NOT_FOUND")


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()  # until whoever started it ends
