"""Real servers from Debian's packages, fresh for each test, on ports of loopback."""
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import Process, accepts, free_port, run, wait_until

MIB = 1 << 20
_numbers = itertools.count()


def random_file(path, size, seed=1):
    """Bytes that nothing can compress, the same for the same seed."""
    source = random.Random(seed)
    with open(path, "wb") as out:
        for begin in range(0, size, MIB):
            out.write(source.randbytes(min(MIB, size - begin)))
    return path


class Server(Process):
    """A server on `port` of loopback that accepts connections."""

    def __init__(self, port, *command, **options):
        super().__init__(*command, **options)
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        wait_until(lambda: accepts(port) or not self.running, f"{command[0]} on port {port}")
        assert self.running, self.stderr


NGINX = """
daemon off; master_process off; user root; pid {folder}/pid; error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 12000; }}
http {{
  access_log off; types {{ text/plain txt; }} default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0; keepalive_timeout 600; keepalive_requests 1000000;
  sendfile on; server_tokens off; etag off; if_modified_since off;
  absolute_redirect off;  # else answers name the port, which differs
  server {{
    listen {listen} backlog=4096;
    root {folder}/files;
    location /hello {{ return 200 "{greeting}\\n"; }}
    location /item/ {{ return 200 "item $request_uri for $http_user_agent\\n"; }}
    location /missing {{ return 404 "nothing here\\n"; }}
    location /upload/ {{ dav_methods PUT DELETE; client_body_buffer_size 64k; }}
    location /zipped/ {{
      alias {folder}/files/; gzip on; gzip_types text/plain; gzip_min_length 1;
    }}
    {extra}
  }}
}}
"""


class Nginx(Server):
    """/hello, /item/..., /missing, PUT /upload/..., and the files of `files`; /zipped/ zips."""

    def __init__(self, tmp_path, greeting="hello", extra="", listen=None):
        self.folder = tmp_path / f"nginx{next(_numbers)}"
        self.files = self.folder / "files"
        (self.files / "upload").mkdir(parents=True)
        port = free_port()
        conf = self.folder / "nginx.conf"
        listens = f"127.0.0.1:{port} backlog=4096; listen {listen}" if listen else (
            f"127.0.0.1:{port}")
        conf.write_text(NGINX.format(folder=self.folder, listen=listens, greeting=greeting,
                                     extra=extra))
        super().__init__(port, "nginx", "-p", self.folder, "-c", conf)


class Redis(Server):
    def __init__(self, tmp_path):
        port = free_port()
        super().__init__(port, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                         "--appendonly", "no", "--dir", tmp_path)

    def cli(self, *words, port=None, **options):
        return run("redis-cli", "-p", port or self.port, *words, **options)


# --- PostgreSQL: its server refuses to run as root ---

def _as_other():
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def _postgres_program(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found, f"{name} is not installed"
    return found[-1]


def _own_folder():
    """A folder that the postgres user may use; tmp_path's parents are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="wiretape-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    return folder


class PostgresTemplate:
    """A cluster as initdb left it."""

    def __init__(self):
        self.folder = _own_folder()
        self.data = self.folder / "data"
        run(*_as_other(), _postgres_program("initdb"), "--no-sync", "-A", "trust", "-U", "tester",
            "-E", "UTF8", "--locale", "C", "-D", self.data, cwd=self.folder)

    def remove(self):
        shutil.rmtree(self.folder)


class Postgres(Server):
    def __init__(self, template):
        self.folder = _own_folder()
        run("cp", "-a", template.data, self.folder)
        port = free_port()
        settings = [f"port={port}", "listen_addresses=127.0.0.1", "fsync=off",
                    f"unix_socket_directories={self.folder}", "max_connections=50",
                    "autovacuum=off"]
        super().__init__(port, *_as_other(), _postgres_program("postgres"), "-D",
                         self.folder / "data", *itertools.chain(*(("-c", s) for s in settings)),
                         cwd=self.folder)
        wait_until(lambda: b"1" in self.psql("SELECT 1", check=False), "PostgreSQL")

    def psql(self, sql, port=None, check=True):
        words = ["psql", "-X", "-h", "127.0.0.1", "-p", str(port or self.port), "-U", "tester",
                 "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(words, input=sql.encode(), capture_output=True, timeout=60,
                              check=check)
        return done.stdout

    def _kill(self):
        # runuser passes SIGTERM on; SIGKILL would leave the server behind. SIGINT: fast shutdown.
        if self.running:
            postmaster = int((self.folder / "data/postmaster.pid").read_text().split()[0])
            os.kill(postmaster, 2)
            self._child.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


# --- git over HTTP: nginx, fcgiwrap and git's own back end ---

GIT = """
    location ~ ^/git/(.*)$ {{
      fastcgi_pass unix:{socket};
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROJECT_ROOT {root};
      fastcgi_param PATH_INFO /$1;
      fastcgi_param GIT_CONFIG_COUNT 1;
      fastcgi_param GIT_CONFIG_KEY_0 safe.directory;
      fastcgi_param GIT_CONFIG_VALUE_0 *;
    }}
"""


class GitHttp(Nginx):
    """Serves `repository`, with some history, as /git/sample.git."""

    def __init__(self, tmp_path):
        self.repository = tmp_path / "repositories/sample.git"
        work = tmp_path / "work"
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-C", work]
        run("git", "init", "-q", "-b", "main", work)
        for i in range(5):
            random_file(work / f"file{i}", MIB // 4, seed=i)
            run(*git, "add", ".")
            run(*git, "commit", "-q", "-m", f"change {i}")
        run("git", "clone", "-q", "--bare", work, self.repository)
        socket = tmp_path / "fcgi.sock"
        self.fcgiwrap = Process("fcgiwrap", "-s", f"unix:{socket}")
        wait_until(socket.exists, "fcgiwrap")
        super().__init__(tmp_path, extra=GIT.format(socket=socket, root=tmp_path / "repositories"))


class WebSocketEcho(Server):
    """Sends every WebSocket message back."""

    def __init__(self):
        port = free_port()
        script = Path(__file__).parent / "peers/websocket_echo.py"
        super().__init__(port, sys.executable, script, port)
