//! The crate `oci-client` as a program: what a client that knows nothing of rvenv reads in a
//! reference, gets out of a registry, and puts there.
//!
//! Speaks plain HTTP, because its registry is on this machine. Each digest is checked by the crate.
//! A blob is a file that is named by its digest, and the manifest beside it is `manifest.json`.

#![expect(
    clippy::disallowed_methods,
    reason = "what it pulls is for tests, which need no transaction"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::iter::once;
use std::path::Path;
use std::process::ExitCode;

use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth::Anonymous;
use oci_client::{Client, Reference};

const USAGE: &str = "usage: oci-client --version
       oci-client parse REFERENCE…           what each names, or why it is none
       oci-client digest REFERENCE           of the manifest or the index
       oci-client tags REFERENCE             of its repository
       oci-client list REFERENCE             what an index lists
       oci-client referrers REFERENCE [TYPE] what refers to a digest
       oci-client pull REFERENCE DIR         the manifest for this platform, and each blob
       oci-client push DIR REFERENCE         what `pull` wrote, with the same bytes
       oci-client copy FROM TO               by the image as a value, which is written again
       oci-client make REFERENCE TYPE FILE…  an artifact of files";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const TITLE: &str = "org.opencontainers.image.title";
const MANIFEST_FILE: &str = "manifest.json";

type Done = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Done {
    match words {
        ["--version"] => println!("oci-client of rvenv's tests"),
        ["parse", references @ ..] => references.iter().for_each(|text| parse(text)),
        [command, reference, rest @ ..] => {
            let threads = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            return threads.block_on(ask(command, reference, rest));
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

async fn ask(command: &str, first: &str, rest: &[&str]) -> Done {
    let client = client()?;
    match (command, rest) {
        ("digest", []) => print_digest(&client, &first.parse()?).await,
        ("tags", []) => tags(&client, &first.parse()?).await,
        ("list", []) => list(&client, &first.parse()?).await,
        ("referrers", []) => referrers(&client, &first.parse()?, None).await,
        ("referrers", [kind]) => referrers(&client, &first.parse()?, Some(kind)).await,
        ("pull", [dir]) => pull(&client, &first.parse()?, Path::new(dir)).await,
        ("push", [to]) => push(&client, Path::new(first), &to.parse()?).await,
        ("copy", [to]) => copy(&client, &first.parse()?, &to.parse()?).await,
        ("make", [kind, files @ ..]) => make(&client, &first.parse()?, kind, files).await,
        _ => Err(USAGE.into()),
    }
}

fn client() -> Result<Client, Box<dyn Error>> {
    let provider = rustls::crypto::ring::default_provider();
    provider
        .install_default()
        .map_err(|_| "there is a provider of TLS already")?;
    Ok(Client::try_from(ClientConfig {
        protocol: ClientProtocol::Http,
        // The certificates of this machine are for TLS alone: they need not be read.
        accept_invalid_certificates: true,
        // Layers that arrive in another order get the digests of others in a copy.
        max_concurrent_download: 1,
        ..ClientConfig::default()
    })?)
}

fn parse(text: &str) {
    match text.parse::<Reference>() {
        Ok(read) => {
            let (tag, digest) = (read.tag().unwrap_or("-"), read.digest().unwrap_or("-"));
            println!("{} {} {tag} {digest}", read.registry(), read.repository());
        }
        Err(error) => println!("refused: {error}"),
    }
}

async fn print_digest(client: &Client, of: &Reference) -> Done {
    println!("{}", client.fetch_manifest_digest(of, &Anonymous).await?);
    Ok(())
}

async fn tags(client: &Client, of: &Reference) -> Done {
    let found = client.list_tags(of, &Anonymous, None, None).await?;
    found.tags.iter().for_each(|tag| println!("{tag}"));
    Ok(())
}

async fn list(client: &Client, of: &Reference) -> Done {
    let (found, _) = client.pull_manifest(of, &Anonymous).await?;
    let OciManifest::ImageIndex(index) = found else {
        return Err("it is no index".into());
    };
    for entry in index.manifests {
        let platform = entry.platform.ok_or("an entry has no platform")?;
        println!("{} {}/{}", entry.digest, platform.os, platform.architecture);
    }
    Ok(())
}

async fn referrers(client: &Client, of: &Reference, kind: Option<&str>) -> Done {
    for entry in client.pull_referrers(of, kind).await?.manifests {
        println!(
            "{} {}",
            entry.digest,
            entry.artifact_type.unwrap_or_default()
        );
    }
    Ok(())
}

async fn pull(client: &Client, from: &Reference, dir: &Path) -> Done {
    let (manifest, digest) = client.pull_image_manifest(from, &Anonymous).await?;
    let chosen = from.clone_with_digest(digest);
    let kinds = [OCI_IMAGE_MEDIA_TYPE];
    let (text, digest) = client
        .pull_manifest_raw(&chosen, &Anonymous, &kinds)
        .await?;
    fs::write(dir.join(MANIFEST_FILE), text)?;
    for blob in once(&manifest.config).chain(&manifest.layers) {
        let mut bytes = Vec::new();
        client.pull_blob(from, blob, &mut bytes).await?;
        fs::write(dir.join(&blob.digest), bytes)?;
    }
    println!("{digest}");
    Ok(())
}

async fn push(client: &Client, dir: &Path, to: &Reference) -> Done {
    for file in fs::read_dir(dir)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name != MANIFEST_FILE {
            client.push_blob(to, fs::read(file.path())?, &name).await?;
        }
    }
    let manifest = fs::read(dir.join(MANIFEST_FILE))?;
    client
        .push_manifest_raw(to, manifest, OCI_IMAGE_MEDIA_TYPE.parse()?)
        .await?;
    print_digest(client, to).await
}

async fn copy(client: &Client, from: &Reference, to: &Reference) -> Done {
    let (manifest, _) = client.pull_image_manifest(from, &Anonymous).await?;
    let kinds = manifest
        .layers
        .iter()
        .map(|layer| &*layer.media_type)
        .collect();
    let image = client.pull(from, &Anonymous, kinds).await?;
    client
        .push(to, &image.layers, image.config, &Anonymous, image.manifest)
        .await?;
    print_digest(client, to).await
}

async fn make(client: &Client, to: &Reference, kind: &str, files: &[&str]) -> Done {
    let mut layers = Vec::new();
    for file in files {
        let name = Path::new(file).file_name().ok_or("a file has no name")?;
        let title = (TITLE.to_owned(), name.to_string_lossy().into_owned());
        let kind = "application/octet-stream".to_owned();
        layers.push(ImageLayer::new(
            fs::read(file)?,
            kind,
            Some(BTreeMap::from([title])),
        ));
    }
    let config = Config::new("{}", EMPTY.to_owned(), None);
    let manifest = OciImageManifest {
        artifact_type: Some(kind.to_owned()),
        ..OciImageManifest::build(&layers, &config, None)
    };
    client
        .push(to, &layers, config, &Anonymous, Some(manifest))
        .await?;
    print_digest(client, to).await
}
