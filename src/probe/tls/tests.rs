//! Which chains are only compared, and which are verified.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::duplex;
use tokio_rustls::TlsAcceptor;

use super::*;

const HOST: &str = "api.example";
const DAY: Duration = Duration::from_hours(24);

fn params(names: &[&str], common_name: &str, days_left: u32) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - DAY * 10).into(), (now + DAY * days_left).into());
    params
}

fn authority(common_name: &str, days_left: u32) -> CertificateParams {
    let mut params = params(&[], common_name, days_left);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A server's certificate that ends in 30 days, its intermediate certificate that ends in 20 days, and a client that
/// trusts their root.
struct World {
    client: TlsClient,
    root: CertifiedIssuer<'static, KeyPair>,
    leaf: CertificateDer<'static>,
    leaf_key: KeyPair,
    intermediate: CertificateDer<'static>,
}

impl World {
    fn new() -> Self {
        let root =
            CertifiedIssuer::self_signed(authority("Root", 900), KeyPair::generate().unwrap()).unwrap();
        let issuer = authority("Intermediate", 20);
        let issuer = CertifiedIssuer::signed_by(issuer, KeyPair::generate().unwrap(), &root).unwrap();
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = params(&[HOST], "leaf", 30).signed_by(&leaf_key, &issuer).unwrap().der().clone();
        let client = TlsClient::new(Some(root.pem().as_bytes())).unwrap();
        let intermediate = issuer.der().clone();
        Self { client, root, leaf, leaf_key, intermediate }
    }

    /// Whether the chain is accepted for the host, so many days from now.
    fn accepts(&self, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], days: i32) -> bool {
        self.accepts_for(HOST, leaf, intermediates, days)
    }

    fn accepts_for(
        &self,
        host: &str,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        days: i32,
    ) -> bool {
        let shift = DAY * days.unsigned_abs();
        let now = SystemTime::now();
        let now = unix_time(if days < 0 { now - shift } else { now + shift });
        let name = ServerName::try_from(host).unwrap();
        self.client.verifier.verify_with_expiry(leaf, intermediates, &name, now).is_ok()
    }

    fn kept(&self) -> usize {
        self.client.verifier.trusted.lock().unwrap().len()
    }

    /// A world whose client has accepted the chain.
    fn with_an_accepted_chain() -> Self {
        let world = Self::new();
        assert!(world.accepts(&world.leaf, std::slice::from_ref(&world.intermediate), 0));
        assert_eq!(world.kept(), 1);
        world
    }
}

#[test]
fn the_same_chain_is_verified_once_and_has_the_same_expiry() {
    let world = World::with_an_accepted_chain();
    let name = ServerName::try_from(HOST).unwrap();
    let verify = |now| {
        let intermediates = std::slice::from_ref(&world.intermediate);
        world.client.verifier.verify_with_expiry(&world.leaf, intermediates, &name, unix_time(now)).unwrap()
    };
    let now = SystemTime::now();
    assert_eq!(verify(now), expiry_of(&world.intermediate));
    assert_eq!(verify(now + DAY), expiry_of(&world.intermediate));
    // A chain that is verified is kept once more.
    assert_eq!(world.kept(), 1);
}

#[test]
fn a_chain_with_one_other_byte_is_refused() {
    let world = World::with_an_accepted_chain();
    let intermediates = std::slice::from_ref(&world.intermediate);
    for position in 0..world.leaf.len() {
        let mut bytes = world.leaf.to_vec();
        bytes[position] ^= 1;
        assert!(
            !world.accepts(&bytes.into(), intermediates, 0),
            "byte {position} of the server's certificate"
        );
    }
    let mut signature = world.intermediate.to_vec();
    *signature.last_mut().unwrap() ^= 1;
    assert!(
        !world.accepts(&world.leaf, &[signature.into()], 0),
        "the signature of the intermediate certificate"
    );
}

#[test]
fn a_chain_with_another_or_a_missing_certificate_is_verified() {
    let world = World::with_an_accepted_chain();
    assert!(!world.accepts(&world.leaf, &[], 0), "without the intermediate certificate");
    assert!(
        !world.accepts(&world.leaf, std::slice::from_ref(&world.leaf), 0),
        "with another one in its place"
    );
    assert!(!world.accepts(&world.intermediate, std::slice::from_ref(&world.leaf), 0), "in the wrong order");
    let renewed = params(&[HOST], "leaf", 60).signed_by(&KeyPair::generate().unwrap(), &world.root).unwrap();
    assert!(world.accepts(renewed.der(), &[], 0), "a new certificate");
    let stranger =
        CertifiedIssuer::self_signed(authority("Root", 900), KeyPair::generate().unwrap()).unwrap();
    let forged = params(&[HOST], "leaf", 30).signed_by(&world.leaf_key, &stranger).unwrap();
    assert!(!world.accepts(forged.der(), std::slice::from_ref(&world.intermediate), 0), "of a stranger");
}

#[test]
fn the_chain_of_another_host_is_refused() {
    let world = World::with_an_accepted_chain();
    let intermediates = std::slice::from_ref(&world.intermediate);
    assert!(!world.accepts_for("other.example", &world.leaf, intermediates, 0));
    assert!(!world.accepts_for("127.0.0.1", &world.leaf, intermediates, 0));
}

#[test]
fn a_chain_is_refused_as_soon_as_one_of_its_certificates_ends_or_is_not_valid_yet() {
    let world = World::with_an_accepted_chain();
    let intermediates = std::slice::from_ref(&world.intermediate);
    assert!(world.accepts(&world.leaf, intermediates, 19));
    assert!(!world.accepts(&world.leaf, intermediates, 21), "the intermediate certificate has ended");
    assert!(world.accepts(&world.leaf, intermediates, 0));
    assert!(!world.accepts(&world.leaf, intermediates, 31), "both have ended");
    assert!(world.accepts(&world.leaf, intermediates, 0));
    assert!(!world.accepts(&world.leaf, intermediates, -11), "none is valid yet");
}

#[test]
fn a_refused_chain_is_not_kept_and_the_number_of_kept_chains_is_limited() {
    let world = World::new();
    for _ in 0..2 {
        assert!(!world.accepts(&world.leaf, &[], 0));
    }
    assert_eq!(world.kept(), 0);
    for number in 0..MAX_TRUSTED_CHAINS + 3 {
        let leaf = params(&[HOST], &number.to_string(), 30).signed_by(&world.leaf_key, &world.root).unwrap();
        assert!(world.accepts(leaf.der(), &[], 0));
    }
    assert_eq!(world.kept(), MAX_TRUSTED_CHAINS);
}

/// Shows a chain, with a key that may be another one's.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Whether a server that shows the chain of the world, and has this key, is accepted.
async fn accepts_a_server_with(world: &World, key: &KeyPair) -> bool {
    let provider = ring::default_provider();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let chain = vec![world.leaf.clone(), world.intermediate.clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown(Arc::new(CertifiedKey::new(chain, key)))));
    let (near, far) = duplex(1 << 16);
    let server = tokio::spawn(async move { TlsAcceptor::from(Arc::new(config)).accept(far).await.is_ok() });
    let timer = Arc::new(PhaseTimer::start());
    let accepted = world.client.connect_to_api(HOST, near, &timer).await.is_ok();
    server.await.unwrap();
    accepted
}

#[tokio::test]
async fn a_server_with_a_known_chain_must_still_prove_that_it_has_the_key() {
    let world = World::new();
    assert!(accepts_a_server_with(&world, &world.leaf_key).await);
    assert_eq!(world.kept(), 1);
    assert!(!accepts_a_server_with(&world, &KeyPair::generate().unwrap()).await);
    assert!(accepts_a_server_with(&world, &world.leaf_key).await);
}

#[test]
fn aes_128_is_asked_for_first_and_no_cipher_suite_is_lost() {
    let suites = |provider: CryptoProvider| {
        provider.cipher_suites.iter().map(rustls::SupportedCipherSuite::suite).collect::<Vec<_>>()
    };
    let (ours, all) = (suites(provider()), suites(ring::default_provider()));
    assert_eq!(ours[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
    assert_eq!(ours.len(), all.len());
    assert!(all.iter().all(|suite| ours.contains(suite)));
}
