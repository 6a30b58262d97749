use clap::Args;
/// Compare
#[derive(Debug, Args)]
pub struct BenchArguments {}
impl BenchArguments {
    pub fn run(self) -> anyhow::Result<bool> {
        Ok(true)
    }
}
