//! Scenario of the README: runs its commands unchanged, except for the address of the shop.

use agora_e2e::world::World;
use anyhow::{Context, ensure};
use tokio::process::Command;

const HEADING: &str = "## Buy something by hand";
/// Address in the README, of the shop that `cargo xtask up` creates.
const ADDRESS: &str = "shop=http://127.0.0.1:30080/api/v1";
/// Start of the command that the README suggests to repeat.
const PAYMENT: &str = "curl -s $shop/payments";

pub async fn the_readme_commands_place_a_paid_order(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let readme = std::fs::read_to_string(world.settings.repo.join("README.md")).context("README.md")?;
    let lines = lines(&readme)?;
    ensure!(lines.contains(ADDRESS), "the commands do not contain the address {ADDRESS}");
    let lines = lines.replace(ADDRESS, &format!("shop={}", shop.url("")));
    let payment = lines.lines().find(|line| line.starts_with(PAYMENT)).context("no command pays")?;

    let output = bash(&format!("{lines}\necho\n{payment}\n")).await?;

    let (before, again) = output.trim_end().rsplit_once('\n').context("the repeated payment has no output")?;
    ensure!(before.trim_end().ends_with('}') && before.contains("\"status\":\"paid\""), "not paid: {before}");
    ensure!(again.contains("\"captured\"") && before.contains(again), "another response to the same key: {again}");
    Ok(())
}

/// The first code block below the heading.
fn lines(readme: &str) -> anyhow::Result<&str> {
    let (_, below) = readme.split_once(HEADING).with_context(|| format!("no heading {HEADING} in the README"))?;
    let block = below.split_once("```sh\n").and_then(|(_, started)| started.split_once("```"));
    Ok(block.context("no code block below the heading")?.0)
}

/// Runs the script in bash and returns its output.
async fn bash(script: &str) -> anyhow::Result<String> {
    let shell = Command::new("bash").args(["-eu", "-c", script]).output().await.context("running bash")?;
    let output = String::from_utf8_lossy(&shell.stdout).into_owned();
    ensure!(shell.status.success(), "a command failed: {output}{}", String::from_utf8_lossy(&shell.stderr));
    Ok(output)
}
