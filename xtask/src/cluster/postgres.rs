//! PostgreSQL of the local cluster: one data folder, an admin role without superuser rights, optional TLS.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cluster::data::{connect, private_copy};
use crate::cluster::jars::{self, Jars};
use crate::cluster::processes::{self, Daemon};
use crate::command::{command, feed, run, write};
use crate::environment::Paths;

pub const ADMIN: &str = "agora_admin";
const PORT: u16 = 15432;
const CONNECTIONS_MAX: u16 = 300;
const PROTOCOL_3_0: u32 = 196_608;

pub fn start(paths: &Paths, jars: &Jars) -> Result<()> {
    let home = home(paths);
    if !home.join("complete").exists() {
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(home.join("data"))?;
        initialise(jars, &home)?;
        write(&home.join("complete"), "")?;
    }
    private_copy(paths, "data.crt", &home.join("server.crt"))?;
    private_copy(paths, "data.key", &home.join("server.key"))?;
    let program = jars.postgres.join("postgres").display().to_string();
    let home = home.display();
    let arguments = format!(
        "-D {home}/data -p {PORT} -c listen_addresses=10.244.0.1,127.0.0.1 -c unix_socket_directories= \
         -c max_connections={CONNECTIONS_MAX} -c ssl=on -c ssl_cert_file={home}/server.crt -c ssl_key_file={home}/server.key"
    );
    let words = jars::as_user().into_iter().chain([program]).chain(arguments.split_whitespace().map(str::to_owned));
    processes::ensure(paths, &Daemon::new("postgres", words))
}

/// Whether the server replies to a startup message with an authentication request; while it starts it replies with an
/// error.
pub fn accepts_logins() -> bool {
    let Some(mut stream) = connect(PORT) else { return false };
    let parameters = b"user\0agora_admin\0database\0postgres\0\0";
    let length = u32::try_from(8 + parameters.len()).unwrap_or_default();
    let mut message = length.to_be_bytes().to_vec();
    message.extend(PROTOCOL_3_0.to_be_bytes());
    message.extend(parameters);
    let mut first = [0];
    stream.write_all(&message).is_ok() && stream.read_exact(&mut first).is_ok() && first == *b"R"
}

/// The password of `ADMIN`; generated with the data folder.
pub fn admin_password(paths: &Paths) -> Result<String> {
    Ok(std::fs::read_to_string(home(paths).join("agora_admin.password"))?.trim().to_owned())
}

/// The superuser's password, for server settings, which the admin must not change.
pub fn superuser_password(paths: &Paths) -> Result<String> {
    Ok(std::fs::read_to_string(home(paths).join("postgres.password"))?.trim().to_owned())
}

/// Creates the data folder and an admin role with the rights that a managed database grants.
fn initialise(jars: &Jars, home: &Path) -> Result<()> {
    let (data, superuser) = (home.join("data"), home.join("postgres.password"));
    let admin = jars::password()?;
    write(&superuser, &jars::password()?)?;
    write(&home.join("agora_admin.password"), &admin)?;
    run(command("chmod", ["700"]).arg(home))?;
    run(command("chown", ["-R", jars::USER]).arg(home))?;
    let options = ["-U", "postgres", "-A", "scram-sha-256", "--locale=C.UTF-8", "--encoding=UTF8", "-D"];
    run(as_user(&jars.postgres.join("initdb")).args(options).arg(&data).arg("--pwfile").arg(&superuser))?;
    let rules = data.join("pg_hba.conf");
    let text = std::fs::read_to_string(&rules)?;
    write(&rules, &format!("{text}host all all 10.244.0.0/24 scram-sha-256\n"))?;
    let role = format!("create role {ADMIN} login createdb createrole password '{admin}'\n");
    let mut single = as_user(&jars.postgres.join("postgres"));
    feed(single.args(["--single", "-D"]).arg(&data).arg("postgres"), &role).map(drop)
}

fn as_user(program: &Path) -> std::process::Command {
    let words = jars::as_user();
    let mut command = command(&words[0], &words[1..]);
    command.arg(program);
    command
}

fn home(paths: &Paths) -> PathBuf {
    paths.state.join("postgres")
}
