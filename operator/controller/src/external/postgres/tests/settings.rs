//! Tests of what the sessions of a login begin with.

use super::*;

/// Statement timeout and work memory of a session, as they are after the statement that poolers send between two clients.
async fn settings(mut session: PgConnection) -> (String, String) {
    session.execute("discard all").await.unwrap();
    let read = "select current_setting('statement_timeout'), current_setting('work_mem')";
    sqlx::query_as(read).fetch_one(&mut session).await.unwrap()
}

#[tokio::test]
async fn da8_sessions_of_the_login_begin_with_the_settings_of_the_spec_and_with_the_servers_without_any() {
    for server in servers().await {
        let desired = server.desired("order", "shop/main 1");
        server.ensure(&desired).await.unwrap();
        let of_login = settings(server.log_in(&desired).await.unwrap()).await;
        assert_eq!(of_login, ("30s".to_owned(), "16MB".to_owned()));
        let without = DesiredDatabase { session: SessionSettings::default(), ..desired };
        assert!(!server.observe(&without).await.login_works);
        server.ensure(&without).await.unwrap();
        assert!(server.observe(&without).await.login_works);
        let of_server = settings(server.connect(&server.admin.user, "admin", "postgres").await.unwrap()).await;
        assert_ne!(of_server, of_login);
        assert_eq!(settings(server.log_in(&without).await.unwrap()).await, of_server);
    }
}
