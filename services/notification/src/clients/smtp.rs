//! The mail server, by SMTP: a pool of connections, TLS, a login that may change while the process runs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agora_chassis::{Dependency, WatchedFile, WatchedSecret, chain, trace};
use agora_vocab::{Email, Secret};
use async_trait::async_trait;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError, PoolConfig,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use crate::{
    domain::MailFailure,
    ports::{Mailer, OutgoingMail},
};

/// Time for one command; a mail takes several.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(10);
/// Open connections at most, and how long one is kept without a mail.
const CONNECTIONS_MAX: u32 = 8;
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// How connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    None,
    /// By `STARTTLS`; a server without it gets no mail.
    StartTls,
    /// From the beginning.
    Implicit,
}

/// Where and how mails are handed over.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    /// Certificate authorities in place of the system's, as PEM.
    pub ca: Option<WatchedFile>,
    pub login: Option<(String, WatchedSecret)>,
    /// The sender of every mail.
    pub from: Mailbox,
}

/// The mail server.
#[derive(Clone)]
pub struct SmtpMailer {
    server: Arc<SmtpServer>,
    transport: Arc<Mutex<Option<Connected>>>,
    state: Dependency,
}

/// Connections with the secrets that they were opened with.
struct Connected {
    password: Option<Secret>,
    ca: Option<Arc<str>>,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl std::fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpMailer")
            .field("host", &self.server.host)
            .field("port", &self.server.port)
            .finish_non_exhaustive()
    }
}

impl SmtpMailer {
    /// Connects when the first mail is sent. While the server takes no mail, `state` is down.
    pub fn new(server: SmtpServer, state: Dependency) -> Self {
        Self { server: Arc::new(server), transport: Arc::default(), state }
    }

    /// The connections, opened anew once the password or the authorities have changed.
    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, SmtpError> {
        let password = self.server.login.as_ref().map(|(_, password)| password.current());
        let ca = self.server.ca.as_ref().map(WatchedFile::current);
        let mut kept = self.transport.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = &*kept
            && connected.password == password
            && connected.ca == ca
        {
            return Ok(connected.transport.clone());
        }
        let transport = open(&self.server, password.as_ref(), ca.as_deref())?;
        *kept = Some(Connected { password, ca, transport: transport.clone() });
        Ok(transport)
    }

    fn message(&self, mail: &OutgoingMail) -> Result<Message, MailFailure> {
        let refused = |reason: &str| MailFailure::Refused(reason.to_owned());
        let to = Email::parse_stored(&mail.to).map_err(|_| refused("the user's address is not an e-mail address"))?;
        let to: Address = to.as_str().parse().map_err(|_| refused("the user's address is not an e-mail address"))?;
        let mut message = Message::builder()
            .from(self.server.from.clone())
            .to(Mailbox::new(mail.name.clone(), to))
            .subject(&mail.rendered.subject)
            .message_id(Some(format!("<{}@{}>", mail.id, self.server.from.email.domain())))
            .header(AutoSubmitted);
        if let Some(trace) = trace::current() {
            message = message.header(TraceParent(trace));
        }
        let body = MultiPart::alternative_plain_html(mail.rendered.text.clone(), mail.rendered.html.clone());
        message.multipart(body).map_err(|error| refused(&chain(&error)))
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &OutgoingMail) -> Result<(), MailFailure> {
        let message = self.message(mail)?;
        let transport = self.transport().map_err(|error| MailFailure::NotNow(chain(&error)))?;
        match transport.send(message).await {
            Ok(_) => {
                self.state.up();
                Ok(())
            }
            // The server answers: what it refuses is this mail.
            Err(error) if error.is_permanent() => {
                self.state.up();
                Err(MailFailure::Refused(chain(&error)))
            }
            Err(error) => {
                let reason = chain(&error);
                if !error.is_transient() {
                    self.state.down(format!("mails wait in the queue: {reason}"));
                }
                Err(MailFailure::NotNow(reason))
            }
        }
    }
}

fn open(
    server: &SmtpServer,
    password: Option<&Secret>,
    ca: Option<&str>,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, SmtpError> {
    let tls = || {
        let parameters = TlsParameters::builder(server.host.clone());
        match ca {
            Some(pem) => parameters
                .certificate_store(lettre::transport::smtp::client::CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(pem.as_bytes())?)
                .build(),
            None => parameters.build(),
        }
    };
    let tls = match server.encryption {
        Encryption::None => Tls::None,
        Encryption::StartTls => Tls::Required(tls()?),
        Encryption::Implicit => Tls::Wrapper(tls()?),
    };
    let pool = PoolConfig::new().max_size(CONNECTIONS_MAX).idle_timeout(IDLE_TIME_MAX);
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
        .port(server.port)
        .tls(tls)
        .timeout(Some(COMMAND_TIME_MAX))
        .pool_config(pool);
    let transport = match (&server.login, password) {
        (Some((name, _)), Some(password)) => {
            transport.credentials(Credentials::new(name.clone(), password.expose().to_owned()))
        }
        _ => transport,
    };
    Ok(transport.build())
}

/// The trace of what the mail is about, so that a mail leads to the requests and events behind it.
#[derive(Clone, Debug)]
struct TraceParent(String);

impl Header for TraceParent {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Traceparent")
    }

    fn parse(text: &str) -> Result<Self, agora_chassis::BoxError> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}

/// Keeps vacation replies from being sent back (RFC 3834, 5).
#[derive(Clone, Copy, Debug)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, agora_chassis::BoxError> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
