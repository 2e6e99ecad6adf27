//! The README's own lines, run as they are printed. Only the address is another: the shop under test has a door of its own.

use agora_e2e::world::World;
use anyhow::{Context, ensure};
use tokio::process::Command;

const HEADING: &str = "## Buy something by hand";
/// The shop of `cargo xtask up`.
const ADDRESS: &str = "shop=http://127.0.0.1:30080/api/v1";
/// What the line begins with that is sent again, as the text below the lines invites to.
const PAYMENT: &str = "curl -s $shop/payments";

pub async fn the_lines_of_the_readme_buy_something(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let readme = std::fs::read_to_string(world.settings.repo.join("README.md")).context("README.md")?;
    let lines = lines(&readme)?;
    ensure!(lines.contains(ADDRESS), "the lines begin with another address than {ADDRESS}");
    let lines = lines.replace(ADDRESS, &format!("shop={}", shop.url("")));
    let payment = lines.lines().find(|line| line.starts_with(PAYMENT)).context("no line pays")?;

    let said = bash(&format!("{lines}\necho\n{payment}\n")).await?;

    let (before, again) = said.trim_end().rsplit_once('\n').context("the payment was not answered again")?;
    ensure!(before.trim_end().ends_with('}') && before.contains("\"status\":\"paid\""), "not paid: {before}");
    ensure!(again.contains("\"captured\"") && before.contains(again), "another answer to the same key: {again}");
    Ok(())
}

/// The first block of code below the heading.
fn lines(readme: &str) -> anyhow::Result<&str> {
    let (_, below) = readme.split_once(HEADING).with_context(|| format!("no {HEADING}"))?;
    let block = below.split_once("```sh\n").and_then(|(_, begun)| begun.split_once("```"));
    Ok(block.context("no block of code below it")?.0)
}

/// What a user's shell prints who pastes that.
async fn bash(script: &str) -> anyhow::Result<String> {
    let shell = Command::new("bash").args(["-eu", "-c", script]).output().await.context("running bash")?;
    let said = String::from_utf8_lossy(&shell.stdout).into_owned();
    ensure!(shell.status.success(), "a line failed: {said}{}", String::from_utf8_lossy(&shell.stderr));
    Ok(said)
}
