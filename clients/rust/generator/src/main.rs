//! `generator DESCRIPTORS DIRECTORY`: writes the messages and clients of the contract that protoc has parsed.

use std::error::Error;

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(descriptors), Some(directory)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generator DESCRIPTORS DIRECTORY".into());
    };
    let mut contract = FileDescriptorSet::decode(std::fs::read(descriptors)?.as_slice())?;
    // The HTTP bindings say nothing to a gRPC client.
    contract.file.retain(|file| file.package() != "google.api");
    std::fs::create_dir_all(&directory)?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .out_dir(directory)
        .compile_fds(contract)?;
    Ok(())
}
