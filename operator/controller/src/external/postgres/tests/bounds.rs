//! Tests of how many sessions the operator opens at a server, and of how long it waits for one that does not answer.

use super::*;

#[tokio::test]
async fn the_operator_opens_a_bounded_number_of_sessions_at_a_server() {
    let server = Server::on(agora_testkit::postgres().await).await;
    let mut open = Vec::new();
    for _ in 0..SESSIONS_MAX {
        open.push(Session::open(&server.admin).await.unwrap());
    }
    let admin = server.admin.clone();
    let mut waiting = std::pin::pin!(Session::open(&admin));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let mut count = server.connect(&server.admin.user, "admin", "postgres").await.unwrap();
    let sessions: i64 =
        sqlx::query_scalar("select count(*) from pg_stat_activity where usename = $1 and pid <> pg_backend_pid()")
            .bind(&server.admin.user)
            .fetch_one(&mut count)
            .await
            .unwrap();
    assert_eq!(usize::try_from(sessions).unwrap(), SESSIONS_MAX);
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    open.pop().unwrap().close().await;
    waiting.await.unwrap();
}

/// Forwards connections to a server. Returns its port and the number of accepted connections.
#[expect(clippy::disallowed_methods, reason = "the other side of a connection is a task of the test")]
async fn counted(server: &AdminDatabase) -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, accepted) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
    let (count, to) = (accepted.clone(), (server.host.clone(), server.port));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let to = to.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, accepted)
}

#[tokio::test]
async fn inspections_of_one_server_at_the_same_time_share_a_session_and_each_gets_its_own_state() {
    let server = Server::on(agora_testkit::postgres().await).await;
    let shops: Vec<DesiredDatabase> =
        (0..20).map(|number| server.desired(&format!("shop{number}"), &format!("shop/shop{number} 1"))).collect();
    for shop in &shops[..10] {
        server.ensure(shop).await.unwrap();
    }
    let (port, accepted) = counted(&server.admin).await;
    let (databases, admin) = (PgDatabases::default(), AdminDatabase { port, ..server.admin.clone() });
    let looks = shops.iter().map(|shop| databases.inspect(&admin, std::slice::from_ref(shop)));
    for (number, seen) in join_all(looks).await.into_iter().enumerate() {
        let seen = seen.unwrap();
        assert_eq!(seen.databases.len(), 1);
        assert_eq!(seen.databases[&shops[number].name].login_works, number < 10, "shop {number}");
        let older = i32::try_from(number).unwrap() * 10;
        assert!(seen.reserved_by_others >= older.min(100), "shop {number}: {}", seen.reserved_by_others);
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 2, "one to ask for the method, and one session");
    let other = AdminDatabase { password: Secret::new("wrong"), ..admin.clone() };
    let (right, wrong) = tokio::join!(databases.inspect(&admin, &[]), databases.inspect(&other, &[]));
    assert!(right.is_ok(), "{right:?}");
    assert!(matches!(wrong, Err(DatabaseError::AuthenticationFailed { .. })), "another login has its own session");
}

#[tokio::test]
async fn the_admins_password_is_not_sent_in_clear_text() {
    let own = PostgresServer::start();
    let server = Server::on(own.database().await).await;
    PgDatabases::default().inspect(&server.admin, &[]).await.unwrap();
    let line = "copy (select 'host all all 127.0.0.1/32 password') to program 'cat > pg_hba.conf'";
    server.postgres.as_admin(line).await;
    server.postgres.as_admin("select pg_reload_conf()").await;
    // The reload is taken up a moment later.
    let started = Instant::now();
    loop {
        match PgDatabases::default().inspect(&server.admin, &[]).await {
            Err(DatabaseError::ClearTextPassword { .. }) => break,
            result => assert!(started.elapsed() < Duration::from_secs(10), "{result:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_accepts_connections_and_never_answers_is_unreachable_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = AdminDatabase {
        host: "127.0.0.1".to_owned(),
        port: silent.local_addr().unwrap().port(),
        user: "admin".to_owned(),
        password: Secret::new("admin"),
        tls: crate::decide::servers::Tls::Disable,
    };
    let started = Instant::now();
    let error = PgDatabases::default().inspect(&admin, &[]).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Unreachable { .. }));
    assert!(with_source(&error).contains("no answer to the login"), "{}", with_source(&error));
    assert!(started.elapsed() < Duration::from_secs(CONNECT_SECONDS_MAX + 2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_freezes_during_a_call_blocks_it_for_a_limited_time_only() {
    let own = PostgresServer::start();
    let server = Server::on(own.database().await).await;
    let mut session = Session::open(&server.admin).await.unwrap();
    own.freeze();
    let started = Instant::now();
    let error = session.inspect(&[]).await.unwrap_err();
    let taken = started.elapsed();
    own.thaw();
    assert!(matches!(error, DatabaseError::Unreachable { .. }));
    assert!(with_source(&error).contains("read the system catalogs"), "{}", with_source(&error));
    assert!(taken < Duration::from_secs(READ_SECONDS_MAX + ANSWER_GRACE_SECONDS + 2), "{taken:?}");
    drop(session);
    PgDatabases::default().inspect(&server.admin, &[]).await.unwrap();
}
