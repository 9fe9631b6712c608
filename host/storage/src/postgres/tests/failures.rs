//! A database that is missing, wrong, restarted or behind a pooler.

use super::*;
use crate::testing::server::Pooler;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_database_is_told_before_a_host_starts() {
    let Some(server) = server() else { return };
    let refusal = async |url: &str| Database::at("none".to_owned(), url).refusal().await;
    let told = refusal(&server.url("nothing_here")).await;
    assert!(told.contains("the database does not exist; create it"), "{told}");
    let told = refusal("postgresql://s3cret@%2Fno%2Fsuch/db").await;
    assert!(told.starts_with("cannot connect to the PostgreSQL of `storage.url`: "), "{told}");
    let told = refusal("http://s3cret@host/db").await;
    assert!(told.contains("is not a connection string of PostgreSQL") && !told.contains("s3cret"), "{told}");
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    let told = refusal(&server.url("latin")).await;
    assert!(told.contains("the database has the encoding LATIN1; create one with ENCODING 'UTF8'"), "{told}");
    server.sql("postgres", "CREATE DATABASE others");
    server.sql("postgres", "CREATE ROLE visitor LOGIN");
    let told = refusal(&server.url("others").replace("turntable@", "visitor@")).await;
    assert!(told.contains("the user of `storage.url` must own the database"), "{told}");
}

/// Only loopback may be without TLS, and there the URL asks for it here.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_or_of_another_name_is_refused_and_so_is_a_wrong_password() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let Some(server) = Server::start_with_tls(&made.cert.pem(), &made.signing_key.serialize_pem()) else { return };
    server.sql("postgres", "ALTER ROLE turntable PASSWORD 'pass w0rd'");
    server.sql("postgres", "CREATE DATABASE secured");
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, made.cert.pem()).unwrap();
    let open = async |host: &str, password: &str, trusts: bool| {
        let url = format!("postgresql://turntable@{host}:{}/secured?sslmode=require", server.port());
        let database = Database::at("secured".to_owned(), &url);
        let path = database.folder.path().join("password");
        std::fs::write(&path, format!("{password}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let settings = Settings { password: Some(Source::File(path)), ..database.settings() };
        let tls = Tls { root_certificates: if trusts { vec![root.clone()] } else { Vec::new() } };
        let opened = PostgresStorage::open(&settings, &tls, &roomy(), Handle::current()).await;
        opened.map_err(|error| format!("{error:#}"))
    };
    let told = open("localhost", "pass w0rd", false).await.err().unwrap();
    assert!(told.contains("certificate"), "{told}");
    let told = open("127.0.0.1", "pass w0rd", true).await.err().unwrap();
    assert!(told.contains("certificate"), "{told}");
    let told = open("localhost", "wr0ng", true).await.err().unwrap();
    assert!(told.contains("the user or the password is wrong") && !told.contains("wr0ng"), "{told}");
    let storage = open("localhost", "pass w0rd", true).await.unwrap();
    storage.commit(commit(&conversation("c"), vec![send("tt-1")])).await.unwrap();
    let sql =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'turntable'";
    assert_eq!(server.sql("secured", sql), "t");
}

/// Sends that a counter shows to be made once each: a commit whose answer was lost is not made again.
#[tokio::test(flavor = "multi_thread")]
async fn commits_happen_once_while_the_server_restarts() {
    let Some(server) = Server::start() else { return };
    let (database, one) = (Database::new(&server), conversation("c"));
    let storage = Arc::new(
        PostgresStorage::open(&database.settings(), &Tls::default(), &Channel::default(), Handle::current())
            .await
            .unwrap(),
    );
    let fence = lease(&storage, &one, "turns").await;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let writing = tokio::spawn({
        let (storage, one) = (storage.clone(), one.clone());
        async move {
            let mut count = 0;
            while !*stopped.borrow_and_update() {
                count += 1;
                let turn = TurnCommit {
                    fence,
                    writes: vec![count_to(count)],
                    ..commit(&one, vec![send(&format!("tt-{count}"))])
                };
                storage.commit(turn).await.unwrap();
            }
            count
        }
    });
    for mode in ["fast", "immediate", "fast", "immediate", "immediate"] {
        tokio::task::block_in_place(|| server.restart(mode));
        goes_on(&server, &database.name).await;
    }
    // Connections that break at any point of a commit.
    for _ in 0..30 {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'turntable'";
        server.sql(&database.name, sql);
        goes_on(&server, &database.name).await;
    }
    stop.send_replace(true);
    let count = writing.await.unwrap();
    assert!(count > 5);
    assert_eq!(&*storage.load_state(&counter()).await.unwrap()["count"].value, count.to_string());
    let rows = server
        .sql(&database.name, "SELECT count(*), count(DISTINCT id), max(sequence) IS NOT NULL FROM turntable.outbox");
    assert_eq!(rows, format!("{count}|{count}|t"));
}

/// Waits until another commit is made.
async fn goes_on(server: &Server, database: &str) {
    let rows = || server.sql(database, "SELECT count(*) FROM turntable.outbox");
    let before = rows();
    for _ in 0..2_000 {
        if rows() != before {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no commit succeeds any more");
}

/// PgBouncer gives each transaction another connection, and this version refuses named statements.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_between_host_and_database_changes_nothing() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::start(server) else {
        skip("PgBouncer is not installed");
        return;
    };
    let database = Database::new(server);
    let pooled = Database::at(database.name.clone(), &pooler.url(&database.name));
    let storage = pooled.open().await;
    conforms(&storage).await;
    storage.close().await.unwrap();
}
