//! Query plans of the statements in `.sql` files: which tables a statement reads as a whole.
//!
//! Must not know any table or statement.

use std::{collections::BTreeMap, ffi::OsStr, fs, io, path::Path};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, migrate::Migrator};

use crate::TestDatabase;

/// The settings of a server, whatever those of the database are, and plans for any values of the parameters.
const SETTINGS: &str = "set enable_seqscan = on; set enable_hashjoin = on; set enable_mergejoin = on; set jit = on; \
    set plan_cache_mode = force_generic_plan";

/// Plans statements by PostgreSQL's default planner settings, for any values of their parameters.
#[derive(Debug)]
pub struct QueryPlanner(PgConnection);

impl QueryPlanner {
    /// Opens a session on a database, and applies the migrations that it lacks.
    pub async fn connect(database: &TestDatabase, migrations: &Migrator) -> Self {
        let mut planner = Self::open(database).await;
        migrations.run(&mut planner.0).await.expect("the migrations apply");
        planner
    }

    async fn open(database: &TestDatabase) -> Self {
        let connection = PgConnection::connect(&database.url()).await.expect("the test server answers");
        let mut planner = Self(connection);
        planner.run(SETTINGS).await;
        planner
    }

    /// Executes statements without parameters, such as those that fill the tables.
    pub async fn run(&mut self, sql: &str) {
        let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.0);
        run.await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The plan of a statement. `types`: those of its parameters, or none where the statement determines them.
    pub async fn plan(&mut self, sql: &str, types: &[&str]) -> Value {
        const PARAMETERS: &str =
            "select cardinality(parameter_types) from pg_prepared_statements where name = 'planned'";
        let types = if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
        self.run(&format!("prepare planned {types} as {sql}")).await;
        let parameters: i32 = sqlx::query_scalar(PARAMETERS).fetch_one(&mut self.0).await.expect("it is prepared");
        let nulls = vec!["null"; usize::try_from(parameters).expect("a number of parameters")].join(", ");
        let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        let explain = format!("explain (format json) execute planned {arguments}");
        let plan: Value =
            sqlx::query_scalar(AssertSqlSafe(explain)).persistent(false).fetch_one(&mut self.0).await.expect("a plan");
        self.run("deallocate planned").await;
        plan
    }

    /// Plans every file of a folder. Returns the name and plan of those that read a table as a whole, unless it is one of
    /// `small`.
    pub async fn whole_reads(&mut self, folder: &str, small: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (name, sql) in sql_files(folder) {
            let plan = self.plan(&sql, &[]).await;
            let mut tables = whole_tables(&plan);
            tables.retain(|table| !small.contains(&table.as_str()));
            if !tables.is_empty() {
                found.push(format!("{name} reads all of {tables:?}: {plan:#}"));
            }
        }
        found
    }
}

/// The files of a folder by their names without the extension.
pub fn sql_files(folder: &str) -> BTreeMap<String, String> {
    let read = |entry: io::Result<fs::DirEntry>| {
        let path = entry.expect("a file").path();
        let name = path.file_stem().and_then(OsStr::to_str).expect("UTF-8").to_owned();
        (name, fs::read_to_string(&path).expect("a readable file"))
    };
    fs::read_dir(Path::new(folder)).expect("a folder").map(read).collect()
}

/// The tables that a plan reads as a whole.
pub fn whole_tables(plan: &Value) -> Vec<String> {
    match plan {
        Value::Array(all) => all.iter().flat_map(whole_tables).collect(),
        Value::Object(node) => {
            let is_scan = node.get("Node Type").is_some_and(|kind| kind == "Seq Scan");
            let table = node.get("Relation Name").and_then(Value::as_str).unwrap_or_default();
            let own = is_scan.then(|| table.to_owned());
            own.into_iter().chain(node.values().flat_map(whole_tables)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_tables_are_found_at_any_depth_and_indexes_are_none() {
        let plan = json!([{ "Plan": { "Node Type": "Hash Join", "Plans": [
            { "Node Type": "Seq Scan", "Relation Name": "orders" },
            { "Node Type": "Index Scan", "Relation Name": "coupon" },
            { "Node Type": "Hash", "Plans": [{ "Node Type": "Seq Scan", "Relation Name": "customer" }] },
        ] } }]);
        assert_eq!(whole_tables(&plan), ["orders", "customer"]);
    }

    #[cfg(feature = "db-tests")]
    #[tokio::test]
    async fn a_statement_that_reads_a_whole_table_is_found_and_one_by_key_is_not() {
        const FILL: &str = "create table thing (id int primary key, name text); \
            insert into thing select n, 'n' || n from generate_series(1, 10000) as n; analyze";
        let mut planner = QueryPlanner::open(&crate::postgres().await).await;
        planner.run(FILL).await;
        let by_name = planner.plan("update thing set name = $2 where name = $1", &[]).await;
        assert_eq!(whole_tables(&by_name), ["thing"]);
        let by_key = planner.plan("select name from thing where id = $1", &["int"]).await;
        assert_eq!(whole_tables(&by_key), [""; 0]);
    }
}
