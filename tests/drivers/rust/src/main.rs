//! tokio-postgres: statements named s0, s1... on every connection, queries pipelined by awaiting
//! them together, portals, COPY. The numbers are those of tests/drivers/python/plan.py.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use futures_util::{SinkExt, TryStreamExt};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

const CLIENTS: u64 = 12;
const QUERIES: usize = 150;
const TEXTS: i32 = 40;
const DISTINCT: i32 = 2000;
const BATCH: usize = 200;
const BIG: usize = 1 << 20;

/// A query whose text depends on `number`, and its parameters.
#[derive(Clone)]
struct Question {
    number: i32,
    value: i32,
    word: String,
}

impl Question {
    fn draw(rng: &mut SmallRng, number: i32) -> Self {
        let word = format!("w{}", rng.gen_range(0..1_000_000));
        Self { number, value: rng.gen_range(-1000..1000), word }
    }

    fn any(rng: &mut SmallRng) -> Self {
        let number = rng.gen_range(0..TEXTS);
        Self::draw(rng, number)
    }

    fn text(&self) -> String {
        let number = self.number;
        format!("select $1::int + {number}, $2::text || '-{number}'")
    }

    fn check(&self, row: &Row) {
        assert_eq!(row.get::<_, i32>(0), self.value + self.number);
        assert_eq!(row.get::<_, String>(1), format!("{}-{}", self.word, self.number));
    }
}

/// Prepare, ask and let the statement go: tokio-postgres closes it then.
async fn ask(client: &Client, question: &Question) -> Result<(), Error> {
    let statement = client.prepare(&question.text()).await?;
    ask_prepared(client, &statement, question).await
}

async fn ask_prepared(client: &Client, prepared: &Statement, q: &Question) -> Result<(), Error> {
    q.check(&client.query_one(prepared, &[&q.value, &q.word]).await?);
    Ok(())
}

fn expect_state<T>(result: Result<T, Error>, wanted: SqlState) {
    match result {
        Ok(_) => panic!("no error, instead of {wanted:?}"),
        Err(error) => assert_eq!(error.code(), Some(&wanted), "{error:?}"),
    }
}

async fn fail(client: &Client, rng: &mut SmallRng) {
    if rng.gen() {
        expect_state(client.query("select 1 / $1::int", &[&0i32]).await, SqlState::DIVISION_BY_ZERO);
    } else {
        expect_state(client.query("selct 1", &[]).await, SqlState::SYNTAX_ERROR);
    }
}

async fn transact(client: &mut Client, rng: &mut SmallRng) -> Result<(), Error> {
    let mut outer = client.transaction().await?;
    let pid: i32 = outer.query_one("select pg_backend_pid()", &[]).await?.get(0);
    let inner = outer.transaction().await?;
    fail(inner.client(), rng).await;
    inner.rollback().await?;
    let question = Question::any(rng);
    question.check(&outer.query_one(&question.text(), &[&question.value, &question.word]).await?);
    let same: i32 = outer.query_one("select pg_backend_pid()", &[]).await?.get(0);
    assert_eq!(pid, same);
    outer.commit().await
}

/// Run `work` on a connection each for all clients at a time.
async fn together<W, F>(work: W)
where
    W: Fn(Client, SmallRng) -> F,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let dsn = std::env::var("GREENPOOL_DSN").expect("GREENPOOL_DSN");
    let seed: u64 = std::env::var("GREENPOOL_SEED").map_or(1, |text| text.parse().expect("a seed"));
    let mut tasks = Vec::new();
    for number in 0..CLIENTS {
        let (client, connection) = tokio_postgres::connect(&dsn, NoTls).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let work = work(client, SmallRng::seed_from_u64(seed * 1000 + number));
        tasks.push(tokio::spawn(async move {
            work.await?;
            connection.await.expect("a connection that ends well")
        }));
    }
    for done in join_all(tasks).await {
        done.expect("no panic").expect("no error");
    }
}

async fn clients_ask_at_random() {
    together(|mut client, mut rng| async move {
        for _ in 0..QUERIES {
            match rng.gen_range(0..100) {
                0..=79 => ask(&client, &Question::any(&mut rng)).await?,
                80..=89 => fail(&client, &mut rng).await,
                _ => transact(&mut client, &mut rng).await?,
            }
        }
        Ok(())
    })
    .await;
}

/// Every connection calls its first statement s0.
async fn one_name_means_different_texts() {
    together(|client, mut rng| async move {
        let number = rng.gen_range(1000..100_000);
        let statement = client.prepare(&Question::draw(&mut rng, number).text()).await?;
        for _ in 0..50 {
            ask_prepared(&client, &statement, &Question::draw(&mut rng, number)).await?;
        }
        Ok(())
    })
    .await;
}

async fn queries_are_pipelined() {
    together(|client, mut rng| async move {
        let questions: Vec<_> = (0..BATCH).map(|_| Question::any(&mut rng)).collect();
        let before = try_join_all(questions.iter().map(|each| ask(&client, each)));
        let failing = client.query("select 1 / $1::int", &[&0i32]);
        let after = try_join_all(questions.iter().map(|each| ask(&client, each)));
        let (before, failing, after) = futures_util::join!(before, failing, after);
        expect_state(failing, SqlState::DIVISION_BY_ZERO);
        before.and(after).map(drop)
    })
    .await;
}

async fn cursors_on_the_server() {
    together(|mut client, mut rng| async move {
        let top: i32 = rng.gen_range(1000..2000);
        let transaction = client.transaction().await?;
        let portal = transaction.bind("select generate_series(1, $1::int)", &[&top]).await?;
        let mut seen = Vec::new();
        loop {
            let rows = transaction.query_portal(&portal, 100).await?;
            if rows.is_empty() {
                break;
            }
            seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        }
        assert_eq!(seen, (1..=top).collect::<Vec<_>>());
        transaction.commit().await
    })
    .await;
}

async fn copies_both_ways() {
    together(|mut client, mut rng| async move {
        let lines: String = (0..2000).map(|n| format!("{n}\trow {}\n", rng.gen_range(0..1000))).collect();
        let transaction = client.transaction().await?;
        let create = "create temp table copied (n int, t text) on commit drop";
        transaction.batch_execute(create).await?;
        let mut sink = pin!(transaction.copy_in("copy copied from stdin").await?);
        sink.send(Bytes::from(lines.clone())).await?;
        assert_eq!(sink.finish().await?, 2000);
        let query = "copy (select n, t from copied order by n) to stdout";
        let chunks: Vec<Bytes> = transaction.copy_out(query).await?.try_collect().await?;
        assert_eq!(chunks.concat(), lines.as_bytes());
        transaction.commit().await
    })
    .await;
}

async fn settings_follow_their_client() {
    together(|client, mut rng| async move {
        let wanted = format!("{}MB", rng.gen_range(100..200));
        client.batch_execute(&format!("set work_mem = '{wanted}'")).await?;
        for _ in 0..20 {
            ask(&client, &Question::any(&mut rng)).await?;
            let row = client.query_one("show work_mem", &[]).await?;
            assert_eq!(row.get::<_, String>(0), wanted);
        }
        Ok(())
    })
    .await;
}

/// A request that comes before its query runs is without effect: so again and again.
async fn long_queries_are_cancelled() {
    together(|client, _| async move {
        let token = client.cancel_token();
        let canceller = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                token.cancel_query(NoTls).await.expect("a request that arrives");
            }
        });
        expect_state(client.batch_execute("select pg_sleep(600)").await, SqlState::QUERY_CANCELED);
        canceller.abort();
        Ok(())
    })
    .await;
}

async fn a_large_parameter() {
    together(|client, mut rng| async move {
        let value: Vec<u8> = (0..BIG).map(|_| rng.gen()).collect();
        let row = client.query_one("select $1::bytea, length($1::bytea)", &[&value]).await?;
        assert_eq!(row.get::<_, i32>(1) as usize, BIG);
        assert!(row.get::<_, Vec<u8>>(0) == value);
        Ok(())
    })
    .await;
}

async fn more_texts_than_a_server_holds() {
    together(|client, mut rng| async move {
        let mut statements = Vec::new();
        for number in 0..DISTINCT / CLIENTS as i32 {
            statements.push(client.prepare(&Question::draw(&mut rng, number).text()).await?);
        }
        for _ in 0..100 {
            let number = rng.gen_range(0..statements.len());
            let question = Question::draw(&mut rng, number as i32);
            ask_prepared(&client, &statements[number], &question).await?;
        }
        Ok(())
    })
    .await;
}

macro_rules! play {
    ($($scene:ident),* $(,)?) => {
        $(println!("{} ...", stringify!($scene)); $scene().await;)*
        println!("done");
    };
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    play!(
        clients_ask_at_random,
        one_name_means_different_texts,
        queries_are_pipelined,
        cursors_on_the_server,
        copies_both_ways,
        settings_follow_their_client,
        long_queries_are_cancelled,
        a_large_parameter,
        more_texts_than_a_server_holds,
    );
}
