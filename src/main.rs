//! The `anode` command: serve, check a configuration, look at the volumes of a stopped node.

mod serve;

use std::process::ExitCode;

use anode::{
    config::{
        Settings,
        cli::{Cli, Command, ConfigCommand, VolumeCommand},
    },
    observe, preflight, volume_tool,
};
use bytesize::ByteSize;
use tikv_jemallocator::Jemalloc;

/// glibc's allocator grows a thread's heap by a system call for every few pages and keeps what it once had; this one
/// does neither.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[expect(clippy::print_stderr, reason = "a message to whoever typed the command")]
fn main() -> ExitCode {
    let done = match Cli::read().command {
        Command::Serve(flags) => Settings::load(&flags)
            .map_err(|error| error.to_string())
            .and_then(|settings| serve::serve(&settings)),
        Command::Config(ConfigCommand::Check(flags)) => Settings::load(&flags)
            .map_err(|error| error.to_string())
            .and_then(|settings| check(&settings)),
        Command::Volume(VolumeCommand::Check(check)) => return volume_tool::check(&check),
        Command::Volume(VolumeCommand::Inspect(inspect)) => return volume_tool::inspect(&inspect),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("anode: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Says what would be used, and whether the machine allows it.
#[expect(clippy::print_stdout, reason = "the command's output")]
fn check(settings: &Settings) -> Result<(), String> {
    for path in &settings.data {
        println!("data         {}", path.display());
    }
    for directory in &settings.data_classes {
        let class = anode::storage_class::name_of(directory.class);
        println!("data class   {class}={}", directory.path);
    }
    println!("listen       {}", settings.listen);
    println!("memory       {}", ByteSize(settings.memory_bytes));
    println!("region       {}", settings.region.as_deref().unwrap_or("any"));
    println!("domain       {}", settings.domain.as_deref().unwrap_or("none (path style only)"));
    let website = settings.website.domain.iter().chain(&settings.website.hosts);
    let website: Vec<&str> = website.map(String::as_str).collect();
    println!(
        "website      {}",
        if website.is_empty() { "none".to_owned() } else { website.join(", ") }
    );
    println!("ownership    {}", settings.object_ownership.name());
    println!("credentials  {:?}", settings.credentials);
    match &settings.tls {
        Some(files) => {
            println!("tls          {}, {}", files.certificate.display(), files.key.display());
        }
        None => println!("tls          none (HTTP)"),
    }
    if let Some(kms) = &settings.kms {
        println!("key service  {} ({}, {})", kms.endpoint, kms.region, kms.key);
    }
    for webhook in &settings.webhooks {
        println!("webhook      {} {}", webhook.name, webhook.url);
    }
    println!("metrics      {:?}", settings.metrics);
    println!("log          {:?}, {}", settings.log.format, settings.log.filter);
    observe::check(&settings.log).map_err(|error| error.to_string())?;
    serve::read_tls(settings)?;
    anode::credentials::Credentials::configured(&settings.credentials)?;
    serve::read_master_keys(settings)?;
    settings.kms.as_ref().map(anode::encryption::KeyService::read).transpose()?;
    anode::notification::Targets::read(settings)?;
    preflight::check(settings)?;
    println!("The configuration can be used.");
    Ok(())
}
