//! A PostgreSQL server in a temporary folder. The unit tests of the store and the specs of the host both use this file.
//!
//! The server listens on a Unix socket in its folder. It ends with the process that started it, whatever ends that, because a
//! shell beside it waits for the end of its standard input.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server with the superuser `turntable`, who needs no password on the socket.
pub(crate) struct Server {
    folder: PathBuf,
    shell: Child,
    binaries: PathBuf,
    port: u16,
}

/// Who runs the server: PostgreSQL refuses to run as root.
struct User {
    ids: Option<(u32, u32)>,
}

impl Server {
    /// Starts a server. None: PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(5_432, |_, _| String::new())
    }

    /// Starts a server that also takes connections with TLS at a port of loopback. It has this certificate and key in PEM.
    pub(crate) fn start_with_tls(certificate: &str, key: &str) -> Option<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        Self::start_with(free.port(), |user, data| {
            for (name, text) in [("server.crt", certificate), ("server.key", key)] {
                fs::write(data.join(name), text).unwrap();
                user.owns(&data.join(name));
                fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o600)).unwrap();
            }
            "listen_addresses = '127.0.0.1'\nssl = on\n".to_owned()
        })
    }

    /// The port at which the server takes connections.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn start_with(port: u16, prepare: impl FnOnce(&User, &Path) -> String) -> Option<Self> {
        let binaries = binaries()?;
        let user = User::new();
        // Not the folder of the tests: the path of a socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("tt-pg").tempdir_in("/tmp").ok()?.keep();
        user.owns(&folder);
        let data = folder.join("data");
        let mut init = user.command(&binaries.join("initdb"));
        init.args(["--username=turntable", "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8"]);
        let made = init.args(["--no-sync", "--no-locale", "-D"]).arg(&data).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let lines = prepare(&user, &data);
        let mut settings = fs::File::options().append(true).open(data.join("postgresql.conf")).unwrap();
        let socket = folder.display();
        writeln!(
            settings,
            "listen_addresses = ''\nport = {port}\nunix_socket_directories = '{socket}'\nfsync = off\nshared_buffers = 16MB\n\
             max_connections = 60\nautovacuum = off\n{lines}"
        )
        .unwrap();
        let script = "\"$0/postgres\" -D \"$1/data\" >\"$1/log\" 2>&1 & server=$!; cat >/dev/null; kill -INT $server 2>/dev/null; \
                      wait $server; rm -rf \"$1\"";
        let mut shell = user.command(Path::new("sh"));
        shell.args(["-c", script]).arg(&binaries).arg(&folder).current_dir(&folder);
        let shell = shell.stdin(Stdio::piped()).process_group(0).spawn().unwrap();
        let server = Self { folder, shell, binaries, port };
        server.wait();
        Some(server)
    }

    /// Stops the server; [`restart`](Self::restart) starts it again.
    pub(crate) fn stop(&self) {
        let mut control = User::new().command(&self.binaries.join("pg_ctl"));
        control.args(["stop", "-s", "-m", "fast", "-D"]).arg(self.folder.join("data")).current_dir(&self.folder);
        assert!(control.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().success());
    }

    fn wait(&self) {
        for _ in 0..2_400 {
            let mut ask = Command::new(self.binaries.join("pg_isready"));
            if ask
                .arg("-q")
                .arg("-p")
                .arg(self.port.to_string())
                .arg("-h")
                .arg(&self.folder)
                .status()
                .is_ok_and(|status| status.success())
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("PostgreSQL does not start: {}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
    }

    /// Makes an empty database and returns its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgresql://turntable@{socket}:{}/{database}", self.port)
    }

    /// Runs SQL and returns what `psql` prints, without headers.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "turntable", "-d", database, "-c", sql]);
        let ran = psql.arg("-p").arg(self.port.to_string()).arg("-h").arg(&self.folder).output().unwrap();
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Restarts the server, as an administrator or a crash (`immediate`) does, and waits until it takes connections.
    pub(crate) fn restart(&self, mode: &str) {
        let mut control = User::new().command(&self.binaries.join("pg_ctl"));
        control
            .args(["restart", "-s", "-m", mode, "-D"])
            .arg(self.folder.join("data"))
            .arg("-l")
            .arg(self.folder.join("log"));
        let ran = control
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(ran.success());
        self.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The shell sees the end of its input; a server that was restarted is not its child any more.
        drop(self.shell.stdin.take());
        let mut stop = User::new().command(&self.binaries.join("pg_ctl"));
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(self.folder.join("data")).current_dir("/");
        let _ = stop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.shell.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl User {
    fn new() -> Self {
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let passwords = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let find = |name: &str| {
            let fields: Vec<&str> = passwords
                .lines()
                .map(|line| line.split(':'))
                .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.collect()))?;
            Some((fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?))
        };
        Self { ids: if is_root { find("postgres").or_else(|| find("nobody")) } else { None } }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
    }

    fn owns(&self, folder: &Path) {
        if let Some((user, group)) = self.ids {
            chown(folder, Some(user), Some(group)).unwrap();
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// The folder of the server's programs.
fn binaries() -> Option<PathBuf> {
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|found| found.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = debian.collect();
    folders.sort();
    folders.reverse();
    folders.extend(std::env::split_paths(&path));
    folders
        .into_iter()
        .find(|folder| ["initdb", "postgres", "pg_isready", "psql"].iter().all(|name| folder.join(name).exists()))
}

/// A PgBouncer in transaction mode before a server.
pub(crate) struct Pooler {
    folder: PathBuf,
    process: Child,
}

impl Pooler {
    /// Starts PgBouncer. None: it is not installed.
    pub(crate) fn start(server: &Server) -> Option<Self> {
        let program = [Path::new("/usr/sbin/pgbouncer"), Path::new("/usr/bin/pgbouncer")];
        let program = program.into_iter().find(|path| path.exists())?;
        let user = User::new();
        let folder = tempfile::Builder::new().prefix("tt-pb").tempdir_in("/tmp").ok()?.keep();
        user.owns(&folder);
        let (socket, to) = (folder.display(), server.folder.display());
        let settings = format!(
            "[databases]\n* = host={to} user=turntable\n[pgbouncer]\nlisten_addr =\nlisten_port = 5432\nunix_socket_dir = {socket}\n\
             auth_type = any\npool_mode = transaction\nignore_startup_parameters = extra_float_digits\ndefault_pool_size = 3\n"
        );
        let path = folder.join("pgbouncer.ini");
        fs::write(&path, settings).unwrap();
        let mut command = user.command(program);
        command.arg("-q").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.current_dir(&folder).spawn().unwrap();
        let pooler = Self { folder, process };
        for _ in 0..2_400 {
            if pooler.folder.join(".s.PGSQL.5432").exists() {
                return Some(pooler);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("PgBouncer does not start");
    }

    /// The URL of a database through the pooler.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://turntable@{}/{database}", self.folder.display().to_string().replace('/', "%2F"))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
