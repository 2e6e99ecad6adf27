//! The server: sessions, behaviours, the mailbox. Must not parse mails.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::mail::ReceivedMail;

/// Mails that are kept; older ones are dropped.
const MAILS_MAX: usize = 1_000;
/// Longest line, in bytes; SMTP allows 1,000.
const LINE_BYTES_MAX: u64 = 8_192;
/// Largest mail, in bytes.
const MAIL_BYTES_MAX: usize = 1 << 20;
/// Recipients of one mail.
const RECIPIENTS_MAX: usize = 100;
/// Time that a client may be silent.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// How a mail server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes every mail.
    Accept,
    /// Closes each connection at once.
    Refuse,
    /// Accepts connections and says nothing.
    Hang,
    /// Refuses every recipient for good: 550.
    RejectRecipients,
    /// Asks to try later: 451.
    TryLater,
    /// Takes half of a mail and closes the connection.
    TakeHalf,
    /// Takes the mail and closes the connection without an answer.
    LoseAnswer,
}

/// A mail server and its mailbox; clones share them.
#[derive(Clone, Debug)]
pub struct MailServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    behaviour: Mutex<Behaviour>,
    mailbox: Mutex<VecDeque<ReceivedMail>>,
    connections: AtomicU32,
}

impl MailServer {
    /// Listens on an address, port 0 being any free port, and takes every mail. Returns the server and the future that serves
    /// it, which does not end.
    pub async fn bind(address: SocketAddr) -> io::Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        let listener = TcpListener::bind(address).await?;
        let server = Self(Arc::new(Shared {
            address: listener.local_addr()?,
            behaviour: Mutex::new(Behaviour::Accept),
            mailbox: Mutex::default(),
            connections: AtomicU32::new(0),
        }));
        Ok((server.clone(), serve(server, listener)))
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.0.address.port()
    }

    /// Behaves so from the next command on.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.0.behaviour) = behaviour;
    }

    /// The last 1,000 mails, in the order of arrival.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        lock(&self.0.mailbox).iter().cloned().collect()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> u32 {
        self.0.connections.load(Ordering::Relaxed)
    }

    fn keep(&self, mail: ReceivedMail) {
        let mut mailbox = lock(&self.0.mailbox);
        if mailbox.len() == MAILS_MAX {
            mailbox.pop_front();
        }
        mailbox.push_back(mail);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(server: MailServer, listener: TcpListener) {
    loop {
        // Running out of descriptors passes.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        server.0.connections.fetch_add(1, Ordering::Relaxed);
        spawn(Session::new(stream, server.clone()).serve());
    }
}

#[expect(clippy::disallowed_methods, reason = "a session ends with the runtime of its server")]
fn spawn(session: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(session);
}

struct Session {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    server: MailServer,
    from: String,
    to: Vec<String>,
}

/// The connection is to be closed.
struct Closed;

impl Session {
    fn new(stream: TcpStream, server: MailServer) -> Self {
        let (input, output) = stream.into_split();
        Self { input: BufReader::new(input), output, server, from: String::new(), to: Vec::new() }
    }

    async fn serve(mut self) {
        match self.behaviour() {
            Behaviour::Refuse => return,
            Behaviour::Hang => return std::future::pending().await,
            _ => {}
        }
        if self.say("220 mailbox").await.is_ok() {
            while let Ok(line) = self.line().await {
                if self.command(line.trim_end()).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn command(&mut self, line: &str) -> Result<(), Closed> {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let behaviour = self.behaviour();
        match verb.as_str() {
            _ if behaviour == Behaviour::Refuse => Err(Closed),
            _ if behaviour == Behaviour::Hang => std::future::pending().await,
            "EHLO" => self.say("250-mailbox\r\n250-8BITMIME\r\n250 SMTPUTF8").await,
            "HELO" | "NOOP" => self.say("250 ok").await,
            "RSET" => {
                self.to.clear();
                self.say("250 ok").await
            }
            "MAIL" if behaviour == Behaviour::TryLater => self.say("451 4.3.2 try again later").await,
            "MAIL" => {
                self.from = path(line);
                self.to.clear();
                self.say("250 ok").await
            }
            "RCPT" if behaviour == Behaviour::RejectRecipients => self.say("550 5.1.1 no such mailbox").await,
            "RCPT" if self.to.len() == RECIPIENTS_MAX => self.say("452 4.5.3 too many recipients").await,
            "RCPT" => {
                self.to.push(path(line));
                self.say("250 ok").await
            }
            "DATA" if self.to.is_empty() => self.say("503 5.5.1 no recipient").await,
            "DATA" => self.data(behaviour).await,
            "QUIT" => {
                self.say("221 bye").await?;
                Err(Closed)
            }
            _ => self.say("502 5.5.1 not here").await,
        }
    }

    async fn data(&mut self, behaviour: Behaviour) -> Result<(), Closed> {
        self.say("354 go on").await?;
        let mut raw = String::new();
        loop {
            let line = self.line().await?;
            let line = line.trim_end_matches(['\r', '\n']);
            if behaviour == Behaviour::TakeHalf {
                return Err(Closed);
            }
            if line == "." {
                break;
            }
            if raw.len() + line.len() > MAIL_BYTES_MAX {
                self.say("552 5.3.4 too large").await?;
                return Err(Closed);
            }
            raw.push_str(line.strip_prefix('.').unwrap_or(line));
            raw.push('\n');
        }
        self.server.keep(ReceivedMail { from: self.from.clone(), to: std::mem::take(&mut self.to), raw });
        if behaviour == Behaviour::LoseAnswer { Err(Closed) } else { self.say("250 2.0.0 taken").await }
    }

    fn behaviour(&self) -> Behaviour {
        *lock(&self.server.0.behaviour)
    }

    /// The next line with its end, of limited length.
    async fn line(&mut self) -> Result<String, Closed> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX);
        let read = tokio::time::timeout(SILENCE_MAX, limited.read_until(b'\n', &mut bytes)).await;
        match read {
            Ok(Ok(_)) if bytes.ends_with(b"\n") => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Err(Closed),
        }
    }

    async fn say(&mut self, answer: &str) -> Result<(), Closed> {
        self.output.write_all(format!("{answer}\r\n").as_bytes()).await.map_err(|_| Closed)
    }
}

/// The address in `MAIL FROM:<a@b>`.
fn path(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or_else(String::new, |(path, _)| path.to_owned())
}
