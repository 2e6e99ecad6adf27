//! One external server with its folder, under a supervisor which outlives the test process just long enough to clean up.
//!
//! Knows processes, folders and ports; must not know what the server is.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The system user that servers run as where the tests run as root.
const DATA_USER: &str = "agora-data";
const START_SECONDS_MAX: u64 = 60;
const POLL: Duration = Duration::from_millis(20);
const LOG_TAIL_LINES: usize = 15;

/// Reads `start`, `quit`, `kill`, `freeze`, `thaw`, one a line, and answers each with a line; at the end of its input it stops
/// the server and removes the folder. Arguments: folder, log file, command.
const SUPERVISOR: &str = r#"
folder=$1; log=$2; shift 2; pid=
halt() { if [ -n "$pid" ]; then kill "-$1" "$pid"; wait "$pid"; pid=; fi; }
all() { if [ -n "$pid" ]; then kill "-$1" "$pid" $(cat "/proc/$pid/task/$pid/children"); fi; }
while read -r word; do
  case $word in
    start) "$@" < /dev/null >> "$log" 2>&1 & pid=$! ;;
    quit) halt QUIT ;;
    kill) halt KILL ;;
    freeze) all STOP ;;
    thaw) all CONT ;;
  esac
  echo done
done
all CONT
if [ -n "$pid" ]; then (sleep 5; kill -KILL "$pid") & halt TERM; fi
n=0
until rm -rf "$folder" || [ $n = 50 ]; do n=$((n + 1)); sleep 0.1; done
"#;

/// A server's process, its folder and its supervisor.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    port: u16,
    supervisor: Mutex<Supervisor>,
}

#[derive(Debug)]
struct Supervisor {
    // Kept so that the process is a child for as long as the pipe is open.
    _shell: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Supervises `command`, not yet started, which shall listen on `port` and may write into `folder` alone. From now on
    /// the folder is the supervisor's to remove.
    pub fn new(folder: TempDir, port: u16, command: &[String]) -> Self {
        let folder = folder.keep();
        let mut shell = Command::new("setpriv")
            .args(["--pdeathsig", "clear", "sh", "-c", SUPERVISOR, "supervisor"])
            .arg(&folder)
            .arg(folder.join("log"))
            .args(as_data_user(&["setpriv", "--pdeathsig", "KILL"]))
            .args(command)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("starting a supervisor: is util-linux (setpriv) installed?");
        let orders = shell.stdin.take().expect("piped");
        let answers = BufReader::new(shell.stdout.take().expect("piped"));
        let supervisor = Mutex::new(Supervisor { _shell: shell, orders, answers });
        Self { folder, port, supervisor }
    }

    /// Starts the server and waits until its port answers.
    pub fn start(&self) {
        let give_up = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        self.order("start");
        while TcpStream::connect(self.address()).is_err() {
            assert!(
                Instant::now() < give_up,
                "no server after {START_SECONDS_MAX} s; its log ends:\n{}",
                self.log_tail()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Stops the server by SIGQUIT and waits until it is gone: for PostgreSQL an immediate shutdown.
    pub fn quit(&self) {
        self.order("quit");
    }

    /// Kills the server and waits until it is gone.
    pub fn kill(&self) {
        self.order("kill");
    }

    /// Stops the server's process and its children by SIGSTOP: the kernel still accepts connections, and nobody answers.
    pub fn freeze(&self) {
        self.order("freeze");
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.order("thaw");
    }

    /// The address on loopback.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn order(&self, word: &str) {
        let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(supervisor.orders, "{word}").expect("the supervisor is gone");
        let mut answer = String::new();
        supervisor.answers.read_line(&mut answer).expect("the supervisor is gone");
    }
}

/// A fresh folder that the server's user may write to; gone when dropped.
pub fn folder(name: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix(&format!("agora-{name}-")).tempdir().expect("a folder in /tmp");
    if is_root(folder.path()) {
        ensure_data_user();
        run(&["chown", DATA_USER, folder.path().to_str().expect("UTF-8")]);
    }
    folder
}

/// A port of loopback that was free a moment ago, and another one at each call.
pub fn free_port() -> u16 {
    // Below the ports that the kernel gives to outgoing connections, one of which would take it before it is used.
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Test processes that run at once begin far from each other.
    let begin = std::process::id().wrapping_mul(7_919);
    let next = |_| FIRST + begin.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..COUNT).map(next).filter_map(|port| u16::try_from(port).ok()).find(is_free).expect("a free port")
}

/// Where a program or a folder of jars lies.
#[expect(clippy::disallowed_methods, reason = "tests have no settings; this names the machine's programs")]
pub fn location(variable: &str) -> PathBuf {
    let Ok(path) = std::env::var(variable) else {
        panic!("{variable} is not set, so no server can be started: run `eval \"$(cargo xtask env)\"` first")
    };
    PathBuf::from(path)
}

/// Runs a command as the server's user to its end.
pub fn run_as_data_user(command: &[&str]) {
    let whole = as_data_user(command);
    run(&whole.iter().map(String::as_str).collect::<Vec<_>>());
}

fn run(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).current_dir("/").stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("running {}: {error}", command[0]));
    assert!(output.status.success(), "{}: {}", command[0], String::from_utf8_lossy(&output.stderr));
}

fn as_data_user(command: &[&str]) -> Vec<String> {
    let user = ["setpriv", "--reuid", DATA_USER, "--regid", DATA_USER, "--clear-groups"];
    let prefix: &[&str] = if is_root(Path::new("/proc/self")) { &user } else { &[] };
    prefix.iter().chain(command).map(ToString::to_string).collect()
}

fn ensure_data_user() {
    let known = Command::new("id").arg(DATA_USER).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !known.is_ok_and(|status| status.success()) {
        run(&["useradd", "--system", "--no-create-home", DATA_USER]);
    }
}

/// The user that owns files of this process.
fn is_root(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_and_its_folder_are_gone_when_the_pipe_closes() {
        let made = folder("supervised");
        let folder = made.path().to_owned();
        let pid_file = folder.join("pid");
        let script = format!("echo $$ > {}; exec sleep 60", pid_file.display());
        let server = Server::new(made, free_port(), &["sh".into(), "-c".into(), script]);
        server.order("start");
        until(|| std::fs::read_to_string(&pid_file).is_ok_and(|pid| pid.ends_with('\n')));
        let pid = std::fs::read_to_string(&pid_file).expect("a pid");
        let process = PathBuf::from(format!("/proc/{}", pid.trim()));
        assert!(process.exists());

        drop(server);

        until(|| !process.exists() && !folder.exists());
    }

    fn until(done: impl Fn() -> bool) {
        let give_up = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < give_up, "not in 10 s");
            std::thread::sleep(POLL);
        }
    }
}
