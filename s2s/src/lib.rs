//! XMPP server-to-server federation: SRV, STARTTLS, mutual certificates, SASL EXTERNAL, links.
//!
//! The crate has two halves. [`negotiation`], [`identity`] and [`target`] decide everything and touch nothing: no
//! socket, no clock, no runtime. The feature `net`, on by default, adds what resolves, dials, listens and keeps links.
//!
//! # The sequence
//!
//! One connection, the initiating entity (I) on the left and the receiving entity (R) on the right. Stanzas then flow
//! from I to R only; R dials a connection of its own for the other direction (RFC 6120, section 4.5).
//!
//! ```text
//! I  <stream:stream from to version>                                                              opening
//! R      <stream:stream from to id version>  <stream:features><starttls><required/>
//! I  <starttls/>                                                                                  starttls
//! R      <proceed/>
//!    -- TLS: both show certificates; I judges R's certificate by `to` at once --                  tls
//! I  <stream:stream from to version>                                                              secured
//! R      R judges I's certificate by `from`
//! R      <stream:stream from to id' version>  <stream:features><mechanisms>EXTERNAL
//! I  <auth mechanism='EXTERNAL'>base64 of its domain, or =</auth>                                 authentication
//! R      <success/>
//! I  <stream:stream from to version>                                                              authenticated
//! R      <stream:stream from to id'' version>  <stream:features><limits>
//!    -- established --
//! ```
//!
//! The words on the right are the [`Stage`]s. A failure at any of them is one [`NegotiationFailure`], and one match in
//! [`error`] gives its wire condition.
//!
//! # Rules and their tests
//!
//! The numbers are those by which the tests refer to a rule. *M* stands for MUST, *S* for SHOULD.
//!
//! | rule | source | what holds | test |
//! |---|---|---|---|
//! | 1 | RFC 6120 3.2.1(3) M | a single SRV target `.` is no service | `a_single_root_target_declines_the_service` |
//! | 4 | RFC 2782 | priority, then weighted chance; weight 0 seldom but possible | `draws_first_targets_in_proportion_to_their_weights` |
//! | 9 | RFC 6120 13.9.2 | U-labels in XMPP, A-labels in certificates | `an_international_domain_is_u_labels_in_xmpp_and_a_labels_in_certificates` |
//! | 10 | 4.7.2, 4.9.1.2 M | no or unserved `to`: own header, then `host-unknown` | `a_bad_header_is_answered_by_a_header_and_then_an_error` |
//! | 11 | 4.7.1 M | `from` in every response, and from I within TLS | `a_server_without_a_name_cannot_be_known` |
//! | 12 | 4.7.2 M | the response is `to` the domain it was from | `answers_to_whom_the_header_was_from` |
//! | 13, 14 | 4.7.3, 4.3.3 M | R alone gives identifiers: random, three different ones | `every_stream_of_a_connection_has_its_own_identifier`, `never_repeats` |
//! | 15 | 4.7.4 M | the response has `xml:lang`; theirs may lack it | `accepts_response_headers_that_lack_what_is_not_needed` |
//! | 16 | 4.7.5 M | versions are numbers, the lower one is answered | `answers_with_the_lower_version` |
//! | 17, 18 | 4.8.1, 4.8.2 M | wrong namespaces: own header, then `invalid-namespace` | `a_bad_header_is_answered_by_a_header_and_then_an_error` |
//! | 19, 20, 22 | 4.8.2, 4.8.5, 11.5 | prefix-free and foreign prefixes are taken | `accepts_headers_that_are_written_differently` |
//! | 23 to 26 | 4.3.2 to 4.3.5 M | features after each header; empty or voluntary ones are the end | `negotiates_tls_then_external_then_stanzas`, `features_that_are_empty_or_voluntary_complete_the_negotiation` |
//! | 27 | 4.9.3.23 | an unknown mandatory feature: `unsupported-feature` | `an_unknown_feature_that_is_required_is_not_supported` |
//! | 28 | 4.3.5 M | an early stanza: `not-authorized` | `a_stanza_before_the_end_of_the_negotiation_is_not_authorized` |
//! | 29, 31 | 5.3.1 S, 5.3.3 M | only STARTTLS is offered; no whitespace around it | `negotiates_tls_then_external_then_stanzas` |
//! | 30 | RFC 7590 3.1 M | STARTTLS is tried even if not offered; nothing goes on in the clear | `tries_starttls_although_it_is_not_offered`, `never_goes_on_without_tls` |
//! | 32 | 5.4.2.2 M | malformed or repeated `starttls`: failure and end of stream | `a_starttls_that_was_not_offered_is_refused_and_the_stream_closed` |
//! | 34 | 5.4.3.3 M | what was said before TLS is forgotten | `the_name_within_tls_counts_and_not_the_one_before` |
//! | 35 | 5.4.3.2 M | nothing is said after a failed handshake | `nothing_is_said_after_a_failed_tls_handshake` |
//! | 36, 39, 51 | 13.7.2, 6.3.4, 6.4.5 | EXTERNAL only for a proved `from`, else `policy-violation` at once, with the cause | `a_receiving_entity_tells_a_peer_at_once_that_its_certificate_is_bad` |
//! | 37 | 5.4.3.1(4) S | the certificate of `to` is shown | `each_side_shows_the_certificate_of_its_own_domain` |
//! | 40, 41, 42 | 6.4.2, 6.3.8 M | `=`, nothing, or the peer's own bare domain as authzid | `a_peer_acts_for_itself_only`, `each_faulty_auth_has_its_own_failure` |
//! | 43, 49 | 6.3.10, 6.4.2 M | no initial response: an empty challenge; a new `auth` replaces the old | `an_auth_without_initial_response_is_challenged` |
//! | 44 | 13.9.1 M | base64 to the letter, else `incorrect-encoding` | `reads_base64_strictly` |
//! | 45, 47 | 6.5.7, 6.4.4 M | another mechanism: `invalid-mechanism`; `abort`: `aborted` | `each_faulty_auth_has_its_own_failure` |
//! | 46 | 6.5.4 | `auth` before TLS: `encryption-required` | `auth_before_tls_is_told_that_encryption_is_required` |
//! | 48 | 6.4.5 M | three failures: `policy-violation`; an unknown failure is `not-authorized` | `the_third_failed_attempt_violates_the_policy`, `an_unknown_failure_means_not_authorized` |
//! | 50, 53 | 6.4.6 S, 4.3.6 M | the peer is what its certificate proves, and stays it | `a_peer_that_changes_its_name_after_authentication_is_refused` |
//! | 54, 55 | 13.7.1.2.1, RFC 6125 6.4.3 | dNSName, SRVName, xmppAddr; `*` for one whole label; never CN | `a_dns_name_is_the_whole_domain`, `a_wildcard_is_the_whole_left_most_label_and_stands_for_exactly_one`, `an_srv_name_is_that_of_the_service_of_servers`, `an_xmpp_addr_is_the_bare_domain`, `nothing_else_is_a_name` |
//! | 56 | 13.7.2 M | authority, expired, not yet valid, revoked, not trusted: no session | `a_server_is_no_authority`, `a_certificate_is_in_force_between_its_two_times`, `refuses_what_was_revoked_and_believes_no_expired_list`, `a_path_leads_to_a_root_whatever_else_is_shown` |
//! | 57 | 13.7.2.1 | I judges by `to`, R by `from` | `an_initiating_entity_says_nothing_to_a_server_with_a_bad_certificate_but_why` |
//! | 58 | 13.7.2.3 S | the end of the proof is known: [`PeerIdentity::not_after`] | `a_path_is_in_force_as_long_as_each_of_its_certificates` |
//! | 59 | | `serverAuth` alone is good for both directions, `clientAuth` alone for none | `server_auth_or_no_extended_key_usage_at_all` |
//! | 67 | 11.1, 11.3, 11.6 M | bad XML has its own condition, on an opened stream | `a_bad_header_is_answered_by_a_header_and_then_an_error` |
//! | 68, 69 | 4.9.1.1, 4.4 M | an error or a closing tag is answered by a closing tag | `a_stream_error_is_answered_by_the_closing_tag`, `a_closing_tag_is_answered_by_one` |
//!
//! Rule 33 (bytes ahead of the handshake) is the driver's, because only it sees bytes.

#[cfg(feature = "net")]
pub mod config;
#[cfg(feature = "net")]
pub mod dialer;
pub mod error;
#[cfg(feature = "net")]
pub mod federation;
pub mod identity;
#[cfg(feature = "net")]
mod link;
#[cfg(feature = "net")]
mod links;
#[cfg(feature = "net")]
mod listener;
pub mod negotiation;
pub mod policy;
#[cfg(feature = "net")]
pub mod resolver;
mod sasl;
#[cfg(feature = "net")]
pub mod statistics;
pub mod target;

pub use error::{NegotiationFailure, Stage};
pub use identity::{
    IdentityError, IdentityVerifier, PeerIdentity, PinError, SpkiPin, Trust, TrustAnchors, TrustError, TrustGroup,
};
pub use negotiation::{Authzid, Established, Initiating, InitiatingConfig, Receiving, ReceivingConfig};
pub use policy::{DomainPattern, DomainPolicy};
pub use target::{Located, Service, SrvRecord, Target};

#[cfg(feature = "net")]
pub use config::{Backoff, FederationConfig, LocalDomain, Timeouts};
#[cfg(feature = "net")]
pub use dialer::{Attempt, AttemptError, DialError};
#[cfg(feature = "net")]
pub use federation::{Federation, FederationError};
#[cfg(feature = "net")]
pub use resolver::{DnsResolver, Family, ResolveError, Resolver};
#[cfg(feature = "net")]
pub use statistics::{LinkState, LinkStatistics};
