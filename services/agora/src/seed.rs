//! Seeds a catalog through the public API only, as an admin. Idempotent: adds the products that are missing.

mod catalog;

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    time::Duration,
};

use agora_api::{
    Problem,
    catalog::NewProduct,
    user::{Login, Tokens},
};
use agora_chassis::settings;
use agora_vocab::{Currency, Money, Secret};
use anyhow::{Context as _, bail};
use catalog::{PRODUCTS, Row};
use reqwest::{Client, Response, StatusCode};

/// Timeout of one request.
const REQUEST_MAX: Duration = Duration::from_secs(15);
/// Attempts of one request while the services are starting, and the delay between two of them.
const TRIES_MAX: u32 = 30;
const TRY_PAUSE: Duration = Duration::from_secs(1);

/// Error code of the catalog for a product whose SKU exists.
const THERE_ALREADY: &str = "SKU_TAKEN";

/// Adds every product that does not exist at `url`.
pub fn run(url: &str) -> anyhow::Result<()> {
    let (email, password) =
        settings("agora", |reader| (reader.required::<String>("ADMIN_EMAIL"), reader.secret("ADMIN_PASSWORD")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the async runtime")?;
    runtime.block_on(async {
        let shop = Shop::enter(url, email, &password.current()).await?;
        let mut new = 0;
        for (done, row) in PRODUCTS.iter().enumerate() {
            new += usize::from(shop.add(row).await.with_context(|| format!("adding {} ({})", row.name, row.sku))?);
            progress(done + 1);
        }
        println!("{} products: {new} new, {} were there already", PRODUCTS.len(), PRODUCTS.len() - new);
        Ok(())
    })
}

/// Prints progress on a single line if stderr is a terminal.
fn progress(done: usize) {
    if stderr().is_terminal() {
        let end = if done == PRODUCTS.len() { "\n" } else { "" };
        eprint!("\r{done}/{} products{end}", PRODUCTS.len());
        // Progress output is optional, so an error is ignored.
        let _ = stderr().flush();
    }
}

/// An API client that is logged in as admin.
struct Shop {
    http: Client,
    url: String,
    token: Secret,
}

impl Shop {
    async fn enter(url: &str, email: String, password: &Secret) -> anyhow::Result<Self> {
        let http =
            Client::builder().timeout(REQUEST_MAX).no_proxy().build().context("could not create the HTTP client")?;
        let url = url.trim_end_matches('/').to_owned();
        let login = Login { email, password: password.expose().to_owned() };
        let send = || http.post(format!("{url}/api/v1/auth/login")).json(&login).send();
        let answer = send_with_retries(send).await.with_context(|| format!("could not reach {url}"))?;
        match answer.status() {
            StatusCode::OK => {
                let tokens: Tokens = answer.json().await.context("could not parse the login response")?;
                Ok(Self { http, url, token: Secret::new(tokens.access_token) })
            }
            StatusCode::UNAUTHORIZED => {
                bail!("login rejected by {url}: check AGORA_ADMIN_EMAIL and AGORA_ADMIN_PASSWORD")
            }
            _ => bail!("login failed at {url}: {}", describe(answer).await),
        }
    }

    /// Adds a product; `false` if its SKU exists.
    async fn add(&self, row: &Row) -> anyhow::Result<bool> {
        let product = product(row)?;
        let add = || {
            let request = self.http.post(format!("{}/api/v1/products", self.url)).bearer_auth(self.token.expose());
            request.json(&product).send()
        };
        let answer = send_with_retries(add).await.context("the gateway is unreachable")?;
        match answer.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::FORBIDDEN => bail!("the account of AGORA_ADMIN_EMAIL does not have the role admin"),
            StatusCode::CONFLICT => {
                let problem: Problem = answer.json().await.context("could not parse the error response")?;
                if problem.code == THERE_ALREADY { Ok(false) } else { bail!("rejected: {}", problem.title) }
            }
            _ => bail!("{}", describe(answer).await),
        }
    }
}

/// Retries while the connection fails, times out or the response is 503.
async fn send_with_retries<F>(send: impl Fn() -> F) -> Result<Response, reqwest::Error>
where
    F: Future<Output = Result<Response, reqwest::Error>>,
{
    for _ in 1..TRIES_MAX {
        match send().await {
            Ok(answer) if answer.status() != StatusCode::SERVICE_UNAVAILABLE => return Ok(answer),
            Err(error) if !error.is_connect() && !error.is_timeout() => return Err(error),
            Ok(_) | Err(_) => tokio::time::sleep(TRY_PAUSE).await,
        }
    }
    send().await
}

/// Formats status and problem on one line.
async fn describe(answer: Response) -> String {
    let status = answer.status();
    let Ok(Problem { title, detail, details, .. }) = answer.json().await else { return status.to_string() };
    let fields = details.into_iter().map(|field| format!("{} {}", field.field, field.message));
    let parts: Vec<String> = [format!("{status}: {title}")].into_iter().chain(detail).chain(fields).collect();
    parts.join("; ")
}

fn product(row: &Row) -> anyhow::Result<NewProduct> {
    let Row { sku, name, description, cents, stock, category, brand, supplier } = *row;
    Ok(NewProduct {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        sku: Some(sku.to_owned()),
        price: Money::new(cents, Currency::EUR)?,
        stock: Some(stock),
        category: Some(category.to_owned()),
        brand: Some(brand.to_owned()),
        supplier: Some(supplier.to_owned()),
        image_url: None,
    })
}
