//! Lists the tensors of a `.nz` file and loads one into candle: `candle_weights FILE.nz [NAME]`.

use candle_core::Device;
use nzip::Archive;
use nzip::candle::Weights;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: candle_weights FILE.nz [NAME]")?;
    let weights = Weights::new(Archive::open(path)?)?;
    let Some(name) = arguments.next() else {
        weights.infos().iter().for_each(|t| println!("{} {:?} {}", t.dtype, t.shape, t.name));
        return Ok(());
    };
    println!("{}", weights.load(&name, &Device::Cpu)?);
    Ok(())
}
