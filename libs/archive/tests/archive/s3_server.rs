//! A server with the interface of S3, with signed requests, on a folder.

use std::{path::Path, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tokio::{net::TcpListener, task::JoinSet};

pub const ACCESS_KEY: &str = "archive-user";
pub const SECRET_KEY: &str = "archive-secret-hunter2";

/// A running server; dropped, it and its connections end.
#[derive(Debug)]
pub struct S3Server(#[expect(dead_code, reason = "ends the server when dropped")] JoinSet<()>);

impl S3Server {
    /// Serves a folder, whose folders are buckets.
    pub async fn start(folder: &Path, port: u16) -> Self {
        let mut service = S3ServiceBuilder::new(FileSystem::new(folder).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, service.build()));
        Self(server)
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    let (http, mut connections) = (Builder::new(TokioExecutor::new()), JoinSet::new());
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let connection = http.serve_connection(TokioIo::new(socket), service.clone());
        let connection = connection.into_owned();
        connections.spawn(async move { drop(connection.await) });
    }
}
