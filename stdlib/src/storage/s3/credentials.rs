//! Where credentials and the region are looked for: the places the AWS tools look, in their order, but in the
//! environment that the command line hands over instead of the process's own. Each place is remembered by
//! name, so that a failure can say what was tried.

#![expect(
    deprecated,
    reason = "aws-config takes profile files only by these names; their new home is no public dependency of it"
)]

use std::collections::BTreeMap;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_sdk_s3::config::{
    Credentials, ProvideCredentials, Region, SharedCredentialsProvider, SharedHttpClient,
};

use crate::target::S3Target;

type Environment = BTreeMap<String, String>;

/// The chain, and its links by name.
pub(super) struct Chain {
    pub(super) provider: SharedCredentialsProvider,
    pub(super) tried: Vec<String>,
}

/// Gathers links in order.
struct Links {
    chain: Option<CredentialsProviderChain>,
    tried: Vec<String>,
}

impl Links {
    fn add(&mut self, name: String, provider: impl ProvideCredentials + 'static) {
        self.chain = Some(match self.chain.take() {
            None => CredentialsProviderChain::first_try(name.clone(), provider),
            Some(chain) => chain.or_else(name.clone(), provider),
        });
        self.tried.push(name);
    }
}

/// The chain for a target. An explicit profile is the only place looked at.
pub(super) fn chain(
    target: &S3Target,
    environment: &Environment,
    http: &SharedHttpClient,
    region: &Region,
) -> Chain {
    let config =
        ProviderConfig::without_region().with_http_client(http.clone()).with_region(Some(region.clone()));
    let mut links = Links { chain: None, tried: Vec::new() };
    if target.profile.is_none() {
        from_environment(&mut links, environment);
        from_web_identity(&mut links, environment, &config);
    }
    let profile = profile(target, environment);
    links.add(
        format!("profile `{profile}` in {}", files_shown(environment)),
        profile_provider(&profile, environment, &config),
    );
    if target.profile.is_none() {
        from_machine(&mut links, environment, &config);
    }
    let Links { chain, tried } = links;
    let provider = chain
        .map_or_else(|| SharedCredentialsProvider::new(no_credentials()), SharedCredentialsProvider::new);
    Chain { provider, tried }
}

fn no_credentials() -> CredentialsProviderChain {
    CredentialsProviderChain::first_try("none", ProfileFileCredentialsProvider::builder().build())
}

fn from_environment(links: &mut Links, environment: &Environment) {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    if let (Some(key), Some(secret)) = (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        let credentials = Credentials::new(key, secret, get("AWS_SESSION_TOKEN"), None, "environment");
        links.add("`AWS_ACCESS_KEY_ID` in the environment".to_owned(), credentials);
    }
}

fn from_web_identity(links: &mut Links, environment: &Environment, config: &ProviderConfig) {
    let (Some(file), Some(role)) =
        (environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"), environment.get("AWS_ROLE_ARN"))
    else {
        return;
    };
    let session = environment.get("AWS_ROLE_SESSION_NAME").cloned().unwrap_or_else(|| "aegis".to_owned());
    let configuration = StaticConfiguration {
        web_identity_token_file: file.into(),
        role_arn: role.clone(),
        session_name: session,
    };
    let provider =
        WebIdentityTokenCredentialsProvider::builder().configure(config).static_configuration(configuration);
    links.add(format!("the web identity token in `{file}`"), provider.build());
}

fn from_machine(links: &mut Links, environment: &Environment, config: &ProviderConfig) {
    let container = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    if container.iter().any(|name| environment.contains_key(*name)) {
        links.add("the container".to_owned(), EcsCredentialsProvider::builder().configure(config).build());
    }
    let disabled =
        environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if !disabled {
        links.add("the instance".to_owned(), ImdsCredentialsProvider::builder().configure(config).build());
    }
}

fn profile(target: &S3Target, environment: &Environment) -> String {
    let named = target.profile.as_ref().or_else(|| environment.get("AWS_PROFILE"));
    named.cloned().unwrap_or_else(|| "default".to_owned())
}

fn profile_provider(
    profile: &str,
    environment: &Environment,
    config: &ProviderConfig,
) -> ProfileFileCredentialsProvider {
    ProfileFileCredentialsProvider::builder()
        .configure(config)
        .profile_name(profile)
        .profile_files(files(environment))
        .build()
}

/// `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`, else the two files in `~/.aws`.
fn paths(environment: &Environment) -> [String; 2] {
    let home = environment.get("HOME").map_or("", String::as_str);
    let path = |name: &str, file: &str| {
        environment.get(name).cloned().unwrap_or_else(|| format!("{home}/.aws/{file}"))
    };
    [path("AWS_CONFIG_FILE", "config"), path("AWS_SHARED_CREDENTIALS_FILE", "credentials")]
}

fn files_shown(environment: &Environment) -> String {
    let [config, credentials] = paths(environment);
    format!("`{credentials}` and `{config}`")
}

/// A file that does not exist is left out: named explicitly, it would be an error of its own.
fn files(environment: &Environment) -> ProfileFiles {
    let mut builder = ProfileFiles::builder();
    let kinds = [ProfileFileKind::Config, ProfileFileKind::Credentials];
    for (kind, path) in kinds.into_iter().zip(paths(environment)) {
        builder = if std::path::Path::new(&path).exists() {
            builder.with_file(kind, path)
        } else {
            builder.with_contents(kind, "")
        };
    }
    builder.build()
}

/// The target's region, the environment's, the profile's; S3 servers with an endpoint of their own take any.
pub(super) async fn region(target: &S3Target, environment: &Environment) -> Option<Region> {
    let named = target.region.as_ref();
    let named =
        named.or_else(|| environment.get("AWS_REGION")).or_else(|| environment.get("AWS_DEFAULT_REGION"));
    if let Some(region) = named.filter(|region| !region.is_empty()) {
        return Some(Region::new(region.clone()));
    }
    let profile = ProfileFileRegionProvider::builder()
        .profile_name(profile(target, environment))
        .profile_files(files(environment))
        .build();
    let found = profile.region().await;
    found.or_else(|| target.endpoint.as_ref().map(|_| Region::new("us-east-1")))
}
