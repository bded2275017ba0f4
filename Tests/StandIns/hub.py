#!/usr/bin/env python3
"""A stand-in for the Hugging Face hub on the loopback, for tests: python3 hub.py FOLDER

FOLDER/models/ORG/NAME and FOLDER/datasets/ORG/NAME are repositories of one commit; FOLDER/datasets/ORG/NAME.parquet is the
revision refs/convert/parquet. Files above 1000 bytes, and safetensors, are in a store of another address, as on the hub.
Prints the ports of the hub and of the store. POST /_control {"faults": [...]} lets the next requests that match fail;
GET /_log lists all requests. Standard library only.
Written after the hub's documented interface: https://huggingface.co/docs/hub/api, git-lfs/docs/api/batch.md.
"""
import base64, hashlib, http.server, json, os, socket, sys, threading, time, urllib.parse

LARGE = 1000
CHUNK = 4096  # bytes of a part, and the size from which uploads are in parts
TOKENS = {"hf_good": "someone"}
lock = threading.Lock()
repositories, store, parts, log, faults = {}, {}, {}, [], []
ports = {}


def is_large(path, data):
    return len(data) > LARGE or path.endswith(".safetensors")


def git_name(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def name_of(path, data):
    return hashlib.sha256(data).hexdigest() if is_large(path, data) else git_name(data)


def commit_of(files):
    listing = "".join(f"{path} {git_name(data)}\n" for path, data in sorted(files.items()))
    return hashlib.sha1(listing.encode()).hexdigest()


class Repository:
    def __init__(self, files=None, private=False):
        self.private, self.commits, self.branches = private, {}, {}
        self.put("main", files or {})

    def put(self, branch, files):
        commit = commit_of(files)
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit

    def commit(self, revision):
        return revision if revision in self.commits else self.branches.get(revision)


def read_folder(folder):
    files = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, folder)] = file.read()
    return files


def load(folder):
    for kind in ("models", "datasets"):
        root = os.path.join(folder, kind)
        for owner in sorted(os.listdir(root)) if os.path.isdir(root) else []:
            for name in sorted(os.listdir(os.path.join(root, owner))):
                place = os.path.join(root, owner, name)
                if name.endswith(".parquet"):
                    continue
                repository = Repository(read_folder(place), private=name.startswith("private"))
                if os.path.isdir(place + ".parquet"):
                    repository.put("refs/convert/parquet", read_folder(place + ".parquet"))
                repositories[kind, f"{owner}/{name}"] = repository


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    role = "hub"

    def log_message(self, *_):
        pass

    # -- answers

    def answer(self, status, body=b"", **headers):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content_Type", "application/json")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        headers.get("Content_Length") or self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message=""):
        self.answer(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    def contents(self, data, etag, **headers):
        """The bytes of a file, of a range if one is asked for."""
        headers["ETag"] = f'"{etag}"'
        fault = self.fault or {}
        if "corrupt" in fault:
            data = bytes([data[0] ^ 1]) + data[1:]
        start = 0
        wanted = self.headers.get("Range")
        if wanted and "ignore_range" not in fault:
            start = int(wanted[len("bytes="):].split("-")[0])
            if start >= len(data):
                return self.answer(416)
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if "cut" in fault and self.command == "GET":
            self.send_response(206 if start else 200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:fault["cut"]])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        return self.answer(206 if start else 200, body, **headers)

    # -- requests

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)  # a proxy gets the whole address
        path = urllib.parse.unquote(url.path)
        if path == "/_log":
            with lock:
                return self.answer(200, log)
        if path == "/_control":
            with lock:
                control = json.loads(self.body)
                faults[:] = control.get("faults", faults)
                if control.get("forget"):
                    log.clear()
            return self.answer(200, {})
        entry = {
            "role": self.role, "method": self.command, "path": path, "token": self.headers.get("Authorization"),
            "range": self.headers.get("Range"), "proxied": bool(url.netloc), "query": url.query,
        }
        with lock:
            log.append(entry)
            self.fault = None
            for fault in faults:
                if fault.get("times", 1) > 0 and fault.get("method", self.command) == self.command and (
                    fault.get("path", "") in path) and fault.get("role", self.role) == self.role:
                    fault["times"] = fault.get("times", 1) - 1
                    self.fault = fault
                    break
        if self.fault and "delay" in self.fault:
            time.sleep(self.fault["delay"])
        if self.fault and "status" in self.fault:
            headers = {name.replace("-", "_"): value for name, value in self.fault.get("headers", {}).items()}
            return self.answer(self.fault["status"], self.fault.get("body", {"error": "on purpose"}), **headers)
        return self.storage(path) if self.role == "store" else self.hub(path)

    do_GET = do_HEAD = do_PUT = do_POST = handle_any

    def storage(self, path):
        words = path.strip("/").split("/")
        if words[0] == "get" and words[1] in store:
            return self.contents(store[words[1]], words[1])
        if words[0] == "put":
            with lock:
                if hashlib.sha256(self.body).hexdigest() != words[1]:
                    return self.answer(400, {"error": "another digest"})
                store[words[1]] = self.body
            return self.answer(200)
        if words[0] == "part":
            tag = f'"part-{words[2]}"'
            with lock:
                parts[words[1], int(words[2])] = self.body
            return self.answer(200, ETag=tag)
        return self.answer(404)

    def hub(self, path):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            return self.answer(401, {"error": "Invalid credentials in Authorization header"})
        if path == "/api/whoami-v2":
            return self.answer(200, {"name": TOKENS.get(token)}) if token else self.answer(401, {"error": "no token"})
        if path == "/api/validate-yaml":
            text = json.loads(self.body)["content"]
            bad = "license: [" in text
            errors = [{"message": '"license" must be a string'}] if bad else []
            return self.answer(400 if bad else 200, {"errors": errors, "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(self.body), token)
        words = path.strip("/").split("/")
        if words[0] == "api":
            kind, rest = words[1], words[2:]
        elif words[0] == "datasets":
            kind, rest = "datasets", words[1:]
        else:
            kind, rest = "models", words
        name = "/".join(rest[:2]).removesuffix(".git")
        repository = repositories.get((kind, name))
        if rest[2:3] == ["complete"]:
            return self.complete()  # its address is signed
        if repository is None or repository.private and not token:
            return self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        if name.endswith("/gated") and not token:
            return self.refuse(403, "GatedRepo", "Access to model is restricted")
        rest = rest[2:]
        if words[0] == "api":
            return self.interface(repository, name, rest, token)
        if rest[:1] == ["resolve"]:
            return self.resolve(repository, rest[1:])
        if path.endswith("/info/lfs/objects/batch"):
            return self.batch()
        if rest[:1] == ["verify"]:
            asked = json.loads(self.body)
            known = store.get(asked["oid"])
            return self.answer(200 if known is not None and len(known) == asked["size"] else 404)
        return self.refuse(404, "EntryNotFound", "Entry not found")

    def revision(self, repository, words):
        """The commit of the longest beginning that is a revision, and the rest."""
        for count in range(len(words), 0, -1):
            commit = repository.commit("/".join(words[:count]))
            if commit:
                return commit, words[count:]
        return None, words

    def resolve(self, repository, words):
        commit, rest = self.revision(repository, words)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        path = "/".join(rest)
        data = repository.commits[commit].get(path)
        if data is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        name = name_of(path, data)
        if not is_large(path, data):
            return self.contents(data, name, X_Repo_Commit=commit)
        store.setdefault(name, data)
        return self.answer(
            302, X_Repo_Commit=commit, X_Linked_Etag=f'"{name}"', X_Linked_Size=len(data), ETag='"of the redirect"',
            Location=f"http://127.0.0.1:{ports['store']}/get/{name}?signature=secret")

    def interface(self, repository, name, rest, token):
        if rest[:1] == ["branch"]:
            branch = "/".join(rest[1:])
            if branch in repository.branches:
                return self.answer(409, {"error": "Reference already exists"})
            repository.branches[branch] = repository.branches["main"]
            return self.answer(200, {})
        if rest[:1] == ["preupload"]:
            return self.preupload(repository, rest[1:], token)
        if rest[:1] == ["commit"]:
            return self.commit(repository, name, rest[1:], token)
        words = rest[1:] if rest[:1] in (["revision"], ["tree"]) else ["main"]
        commit, _ = self.revision(repository, words)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        files = repository.commits[commit]
        if rest[:1] == ["tree"]:
            entries = []
            for path, data in sorted(files.items()):
                entry = {"type": "file", "path": path, "size": len(data), "oid": git_name(data)}
                if is_large(path, data):
                    entry["lfs"] = {"oid": name_of(path, data), "size": len(data), "pointerSize": 134}
                entries.append(entry)
            return self.answer(200, entries)
        return self.answer(200, {
            "id": name, "sha": commit, "private": repository.private, "siblings": [{"rfilename": p} for p in sorted(files)]})

    # -- pushes

    def create(self, wanted, token):
        if not token:
            return self.answer(401, {"error": "You need to be authenticated"})
        kind = wanted.get("type") or "model"
        name = f"{wanted.get('organization') or TOKENS[token]}/{wanted['name']}"
        url = f"http://127.0.0.1:{ports['hub']}/{name}"
        with lock:
            if (kind + "s", name) in repositories:
                return self.answer(409, {"error": "You already created this model repo", "url": url})
            repositories[kind + "s", name] = Repository(private=wanted.get("visibility") == "private")
        return self.answer(200, {"url": url, "name": name})

    def preupload(self, repository, words, token):
        commit, _ = self.revision(repository, words)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        if not token:
            return self.answer(403, {"error": "no rights"})
        answer = []
        for file in json.loads(self.body)["files"]:
            known = repository.commits[commit].get(file["path"])
            large = file["size"] > LARGE or file["path"].endswith(".safetensors")
            answer.append({
                "path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False,
                "oid": None if known is None else name_of(file["path"], known)})
        return self.answer(200, {"files": answer})

    def batch(self):
        wanted = json.loads(self.body)
        there = f"http://127.0.0.1:{ports['store']}"
        here = f"http://127.0.0.1:{ports['hub']}/" + self.path.strip("/").split(".git/")[0]
        objects = []
        for item in wanted["objects"]:
            oid, size = item["oid"], item["size"]
            entry = {"oid": oid, "size": size}
            if oid not in store:
                upload = {"href": f"{there}/put/{oid}?signature=secret"}
                if size > CHUNK:
                    count = -(-size // CHUNK)
                    upload = {"href": f"{here}/complete/{oid}", "header": {"chunk_size": str(CHUNK)}}
                    for number in range(1, count + 1):
                        upload["header"][str(number)] = f"{there}/part/{oid}/{number}?signature=secret"
                entry["actions"] = {"upload": upload, "verify": {"href": f"{here}/verify"}}
            objects.append(entry)
        return self.answer(200, {"transfer": "basic", "objects": objects})

    def complete(self):
        wanted = json.loads(self.body)
        data = b""
        for part in wanted["parts"]:
            if part["etag"] != f'"part-{part["partNumber"]}"':
                return self.answer(400, {"error": "another part"})
            data += parts.pop((wanted["oid"], part["partNumber"]))
        if hashlib.sha256(data).hexdigest() != wanted["oid"]:
            return self.answer(400, {"error": "another digest"})
        with lock:
            store[wanted["oid"]] = data
        return self.answer(200, {})

    def commit(self, repository, name, words, token):
        branch = "/".join(words)
        if branch not in repository.branches:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        if not token:
            return self.answer(403, {"error": "no rights"})
        with lock:
            files = dict(repository.commits[repository.branches[branch]])
            for line in self.body.decode().strip().split("\n"):
                item = json.loads(line)
                value = item["value"]
                if item["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif item["key"] == "lfsFile":
                    if value["oid"] not in store or len(store[value["oid"]]) != value["size"]:
                        return self.answer(400, {"error": "a large file was not sent"})
                    files[value["path"]] = store[value["oid"]]
            commit = repository.put(branch, files)
        if self.fault and "lose_answer" in self.fault:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        url = f"http://127.0.0.1:{ports['hub']}/{name}/commit/{commit}"
        return self.answer(200, {"commitUrl": url, "commitOid": commit, "success": True})


class Store(Handler):
    role = "store"


def main():
    load(sys.argv[1])
    servers = {"hub": Handler, "store": Store}
    for role, handler in servers.items():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        ports[role] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(ports["hub"], ports["store"], flush=True)
    sys.stdin.read()  # until whoever started it ends


main()
