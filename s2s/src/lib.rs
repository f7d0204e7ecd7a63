//! XMPP server-to-server federation: SRV, STARTTLS, mutual certificates, SASL EXTERNAL, links.
//!
//! The crate has two halves. [`negotiation`], [`identity`] and [`target`] decide everything and touch nothing: no
//! socket, no clock, no runtime. The feature `net`, on by default, adds what resolves, dials, listens and keeps links.
//!
//! # The sequence
//!
//! One connection, the initiating entity (I) on the left and the receiving entity (R) on the right. Stanzas then flow
//! from I to R only, and R dials a connection of its own for the other direction (RFC 6120, section 4.5), unless I asks
//! for both directions where R offers them (XEP-0288). With direct TLS (XEP-0368) the handshake comes first and the
//! stream in the clear falls away.
//!
//! ```text
//! I  <stream:stream from to version>                                                              opening
//! R      <stream:stream from to id version>  <stream:features><starttls><required/>
//! I  <starttls/>                                                                                  starttls
//! R      <proceed/>
//!    -- TLS: both show certificates; I judges R's certificate by `to` at once --                  tls
//! I  <stream:stream from to version>                                                              secured
//! R      R judges I's certificate by `from`
//! R      <stream:stream from to id' version>  <stream:features><mechanisms>EXTERNAL, <bidi/>
//! I  <bidi/>
//! I  <auth mechanism='EXTERNAL'>base64 of its domain, or =</auth>                                 authentication
//! R      <success/>
//! I  <stream:stream from to version>                                                              authenticated
//! R      <stream:stream from to id'' version>  <stream:features><limits>, <sm/>
//!    -- established --
//! ```
//!
//! The words on the right are the [`Stage`]s. A failure at any of them is one [`NegotiationFailure`], and one match in
//! [`error`] gives its wire condition.
//!
//! # Rules and their tests
//!
//! The rules of a federation, numbered by this table, and the tests that hold them; a source without a name is of RFC
//! 6120. *M* stands for MUST, *S* for SHOULD, I for the initiating entity and R for the receiving one. Most of the tests
//! play a peer that writes its own bytes on a real socket; `tests/rules/table.rs` keeps this table true.
//!
//! | rule | source | what holds | test |
//! |---|---|---|---|
//! | 1 | RFC 6120 3.2.1 (3) M | a single SRV target `.` is no service, and nothing is dialled | `a_domain_whose_only_target_is_the_root_is_not_dialled_and_not_found`, `a_single_root_target_declines_the_service` |
//! | 2 | XEP-0368 M | direct TLS may be declined alone; with an answer the domain's own address is never tried | `a_domain_that_declines_direct_tls_alone_is_dialled_with_starttls`, `a_domain_that_declines_both_services_is_not_dialled` |
//! | 3 | RFC 6120 3.2.1 (6) | the next address when one is dead | `the_next_address_of_a_target_is_tried_when_one_is_dead` |
//! | 4 | RFC 6120 3.2.1 (7), RFC 2782 | the next target when one is dead: by priority, then by weighted chance; weight 0 seldom but possible | `the_next_target_is_tried_in_order_of_priority_when_one_is_dead`, `draws_first_targets_in_proportion_to_their_weights`, `draws_weight_zero_seldom_but_draws_it` |
//! | 5 | RFC 6120 3.2.1 (8) S | with targets, all of them dead, the domain itself is not tried | `a_domain_with_targets_is_never_tried_by_itself_though_they_are_all_dead` |
//! | 6 | RFC 6120 3.2.1 (9) S | without an answer the domain itself, port 5269 | `a_domain_without_targets_is_tried_by_itself_on_the_default_port` |
//! | 7 | XEP-0368 M, S | both services in one order; SNI is the domain, ALPN `xmpp-server`; no STARTTLS within direct TLS | `an_xmpps_target_is_dialled_with_tls_for_the_domain_and_the_protocol`, `starttls_is_not_asked_for_within_direct_tls_though_it_is_offered`, `starttls_is_neither_offered_nor_accepted_within_direct_tls`, `mixes_both_services_in_one_order_by_priority_and_weight`, `negotiates_external_at_once_within_direct_tls` |
//! | 8 | RFC 6120 3.3 S | truncated exponential back-off, the first pause drawn from 0 to 60 s; a lost stream is dialled once more at once | `a_stream_that_was_lost_is_dialled_once_more_at_once_and_then_after_a_pause`, `pauses_at_random_below_a_ceiling_that_doubles_and_ends` |
//! | 9 | RFC 6120 13.9.2 | U-labels in XMPP; A-labels in DNS, SNI and certificates | `an_international_domain_is_u_labels_in_headers_and_a_labels_in_dns_and_tls`, `international_names_are_a_labels_in_certificates_and_u_labels_in_addresses` |
//! | 10 | 4.7.2, 4.9.1.2, 4.9.3.6 M | I says `to`; none or an unserved one: own header, then `host-unknown` | `a_header_to_nobody_here_is_answered_by_a_header_of_our_own_name_and_host_unknown`, `an_initiating_entity_says_to_whom_and_gives_no_identifier` |
//! | 11 | 4.7.1 M | `from` in every header of ours; theirs is needed within TLS | `each_header_says_from_whom_it_is` |
//! | 12 | 4.7.2 M | the answer is `to` the domain that the header was from | `the_answer_is_to_the_domain_that_the_header_was_from` |
//! | 13 | 4.7.3 M | R alone gives an identifier: 144 random bits | `the_receiving_entity_alone_gives_an_identifier_and_a_random_one`, `an_initiating_entity_says_to_whom_and_gives_no_identifier`, `never_repeats` |
//! | 14 | 4.3.3, 5.4.3.3, 6.4.6 M | the three identifiers of a connection differ | `the_three_identifiers_of_a_connection_differ` |
//! | 15 | 4.7.4 M | the answer has `xml:lang`; theirs may lack it | `the_answer_names_its_language_and_a_peer_need_not` |
//! | 16 | 4.7.5 M | versions are numbers; the lower one is answered | `versions_are_compared_as_numbers_and_the_lower_one_is_answered`, `an_initiating_entity_refuses_the_answer_of_another_version` |
//! | 17 | 4.8.1 M | another stream namespace: own header, then `invalid-namespace` | `another_stream_namespace_is_invalid_and_told_on_a_stream_of_our_own` |
//! | 18 | 4.8.2, 4.8.3 M | another content namespace, of the stream or of a stanza: `invalid-namespace` | `a_content_namespace_other_than_that_of_servers_is_invalid` |
//! | 19 | 4.8.3, 9.2 | peers without prefixes are understood, in both roles | `a_peer_without_prefixes_is_understood`, `a_host_without_prefixes_is_understood` |
//! | 20 | 4.8.5 S | a foreign stream prefix is taken; one that is not declared is `bad-namespace-prefix` | `a_foreign_prefix_of_the_stream_is_taken_and_one_that_is_not_declared_refused` |
//! | 21 | 4.8.3, 4.7.4 S | stanzas are scoped anew by the stream that carries them, and keep the language of the one by which they came | `a_stanza_is_scoped_anew_by_the_stream_that_carries_it`, `a_stanza_keeps_the_language_of_the_stream_by_which_it_came` |
//! | 22 | 11.5 S | the XML declaration comes first; `standalone` is passed over | `the_xml_declaration_comes_first_and_theirs_may_say_standalone` |
//! | 23 | 4.3.2 M | features after each header | `features_follow_each_header_and_starttls_is_among_the_first_alone` |
//! | 24 | 4.3.3 M | a stream that is replaced is not closed | `a_stream_that_is_replaced_is_not_closed` |
//! | 25 | 4.3.4, 5.4.3.3 M | features anew after each restart; no STARTTLS within TLS | `features_follow_each_header_and_starttls_is_among_the_first_alone` |
//! | 26 | 4.3.2, 4.3.5 | features that are empty or voluntary are the end | `features_that_are_empty_or_voluntary_complete_the_negotiation` |
//! | 27 | 4.9.3.23 | an unknown mandatory feature: `unsupported-feature` | `an_unknown_feature_that_has_to_be_negotiated_is_unsupported` |
//! | 28 | 4.3.5 M | an early stanza: `not-authorized`, or `bad-format` where a header is due; never processed | `a_stanza_before_the_end_of_the_negotiation_is_not_authorized_and_not_processed`, `a_stanza_in_place_of_a_header_is_of_bad_format_and_not_processed`, `a_stanza_from_the_host_before_the_last_features_is_not_authorized_and_not_processed` |
//! | 29 | 5.3.1 S | in the clear STARTTLS alone is offered, as required | `in_the_clear_starttls_alone_is_offered_and_required`, `tls_can_still_be_begun_after_an_early_auth` |
//! | 30 | RFC 7590 3.1 M | STARTTLS is tried even if not offered; nothing goes on in the clear | `tls_is_begun_although_it_is_not_offered`, `nothing_goes_on_in_the_clear` |
//! | 31 | 5.3.3 M | we write no whitespace around STARTTLS; theirs ahead of it means nothing, behind it is refused | `no_whitespace_stands_around_starttls_and_proceed`, `bytes_behind_starttls_are_refused` |
//! | 32 | 5.4.2.2 M | malformed or unoffered `starttls`: failure, closing tag, end | `starttls_that_is_malformed_or_not_offered_fails_and_ends_the_stream` |
//! | 33 | 5.4.3.1 M | bytes ahead of the handshake end the connection, in both roles; the driver sees to it | `bytes_behind_starttls_are_refused`, `bytes_behind_proceed_are_refused` |
//! | 34 | 5.4.3.3 M | what was said before TLS is forgotten | `what_was_said_in_the_clear_is_forgotten_and_a_new_name_counts` |
//! | 35 | 5.4.3.2 M | nothing is said after a failed handshake | `a_failed_handshake_ends_the_connection_without_the_end_of_a_stream`, `nothing_is_said_after_a_failed_tls_handshake` |
//! | 36 | 5.4.3.1, 13.7.2 M | both sides show a certificate and judge the other's | `the_receiving_entity_asks_for_a_certificate_and_refuses_who_has_none`, `the_initiating_entity_shows_its_certificate_and_refuses_a_host_with_another_name` |
//! | 37 | 5.4.3.1 S | the certificate of `to` is shown | `the_certificate_is_that_of_the_domain_which_was_asked_for`, `a_peer_stays_with_the_domain_to_which_it_was_authenticated` |
//! | 38 | 6.3.1, 6.3.2 M | SASL is mandatory; a new stream follows success | `nothing_is_sent_to_a_host_that_offers_no_sasl`, `a_new_stream_follows_success` |
//! | 39 | 6.3.4, 6.4.1 M | EXTERNAL is offered within TLS, to who has proved its `from`, and to nobody else | `external_is_offered_first_within_tls_and_to_who_has_proved_its_name_alone` |
//! | 40 | 6.4.2 M | `=` is an empty authzid and means the proved domain | `an_equals_sign_is_an_empty_authzid_and_means_the_proved_domain` |
//! | 41 | 6.3.8 M | an authzid is the peer's own bare domain, else `invalid-authzid` | `an_authzid_that_is_not_the_bare_domain_of_the_peer_is_invalid` |
//! | 42 | 6.3.8 M, XEP-0178 | we name our domain, as all known peers accept, or by choice nothing | `the_initiating_entity_names_its_domain_or_on_request_nothing` |
//! | 43 | 6.3.10 M | no initial response: an empty challenge | `an_auth_without_initial_response_is_challenged`, `a_challenge_is_answered_by_the_response_that_was_sent_at_once` |
//! | 44 | 13.9.1 M | base64 to the letter, else `incorrect-encoding` | `base64_that_is_not_to_the_letter_is_an_incorrect_encoding`, `reads_base64_strictly` |
//! | 45 | 6.5.7 | another mechanism or none: `invalid-mechanism`, a failure of SASL | `another_mechanism_or_none_is_invalid` |
//! | 46 | 6.5.4 | `auth` before TLS: `encryption-required` | `an_auth_in_the_clear_needs_encryption_first`, `tls_can_still_be_begun_after_an_early_auth` |
//! | 47 | 6.4.4 M | `abort`: `aborted` | `an_abort_is_answered_by_aborted` |
//! | 48 | 6.4.5, 6.5 M | three failures: `policy-violation`; an unknown failure is `not-authorized` | `the_third_attempt_that_fails_violates_the_policy`, `a_failure_that_is_not_known_means_not_authorized_and_ends_the_attempt` |
//! | 49 | 6.4.2 M | a new `auth` discards the old | `a_second_auth_discards_the_first` |
//! | 50 | 6.4.6 S | the peer is what its certificate proves, or the stream ends | `a_peer_that_changes_its_name_behind_success_is_refused`, `a_host_that_changes_its_name_within_tls_is_refused` |
//! | 51 | 6.4.5 | nothing to offer: `policy-violation` at once, with the cause | `a_peer_whose_certificate_proves_nothing_is_told_a_policy_violation_at_once` |
//! | 52 | 6.3.5 M | we write no whitespace within SASL; theirs between elements means nothing | `no_whitespace_stands_within_an_exchange_of_sasl` |
//! | 53 | 6.3.9, 4.3.6 M | the peer's address is the domain that it proved | `an_equals_sign_is_an_empty_authzid_and_means_the_proved_domain`, `a_peer_that_changes_its_name_behind_success_is_refused`, `a_peer_stays_with_the_domain_to_which_it_was_authenticated` |
//! | 54 | 13.7.1.2.1 M | dNSName, SRVName `_xmpp-server`, xmppAddr, each alone | `a_domain_is_named_by_dns_name_srv_name_or_xmpp_addr_alone`, `an_srv_name_is_that_of_the_service_of_servers`, `an_xmpp_addr_is_the_bare_domain` |
//! | 55 | 13.7.1.2.1, RFC 6125 6.4.3 | `*` for one whole first label; a common name for nothing | `a_wildcard_stands_for_one_whole_first_label_and_a_common_name_for_nothing`, `a_wildcard_is_the_whole_left_most_label_and_stands_for_exactly_one`, `nothing_else_is_a_name` |
//! | 56 | 13.7.2 M | authority, expired, not yet valid, revoked, not trusted: no session | `a_certificate_that_is_not_valid_makes_no_session`, `a_server_is_no_authority`, `a_certificate_is_in_force_between_its_two_times`, `refuses_what_was_revoked_and_believes_no_expired_list`, `a_path_leads_to_a_root_whatever_else_is_shown` |
//! | 57 | 13.7.2.1 | I judges by `to`, R by `from`, nobody by names out of DNS | `a_host_is_judged_by_the_domain_and_not_by_the_target_that_dns_named`, `a_peer_is_judged_by_the_name_that_it_gives_itself_within_tls` |
//! | 58 | 13.7.2.3 S | a stream ends with its proof, [`PeerIdentity::not_after`] | `a_stream_is_reset_when_the_certificate_of_the_peer_expires`, `a_path_is_in_force_as_long_as_each_of_its_certificates` |
//! | 59 | public authorities, 2026 | `serverAuth` alone is good for both directions, `clientAuth` alone for none | `a_certificate_for_servers_is_good_in_both_directions_and_one_for_clients_alone_in_none`, `server_auth_or_no_extended_key_usage_at_all` |
//! | 60 | 8.1.1.2, 8.1.2.2 M | no `to` or `from`: `improper-addressing` | `a_stanza_without_one_of_its_addresses_is_improperly_addressed` |
//! | 61 | 8.1.1.2 M | `to` a domain not served here: `host-unknown`, nothing is relayed | `a_stanza_for_a_domain_that_is_not_served_here_is_for_an_unknown_host` |
//! | 62 | 8.1.2.2 M | `from` another domain than was proved: `invalid-from` | `a_stanza_from_a_domain_that_was_not_authenticated_is_from_an_invalid_one` |
//! | 63 | 4.8.4, 4.9.3.24 | a first-level element that is no stanza: `unsupported-stanza-type` | `a_first_level_element_that_is_no_stanza_is_unsupported_and_not_routed`, `dialback_that_was_not_offered_is_unsupported` |
//! | 64 | 10.1 M | order by pair of addresses, one stream by pair of domains | `the_order_of_each_pair_is_kept_on_one_stream`, `what_a_peer_sends_is_routed_in_its_order` |
//! | 65 | 10.4.3 M | `remote-server-not-found` or `-timeout`, once for each stanza | `each_stanza_for_a_domain_that_cannot_be_reached_comes_back_once_with_the_reason` |
//! | 66 | 4.5, 4.9.1.4 | stanza errors by the other stream, stream errors by the same | `a_stanza_error_goes_back_by_the_other_stream_and_a_stream_error_by_the_same` |
//! | 67 | 11.1, 11.3, 11.6 M | bad XML has its own condition, on an opened stream | `xml_that_streams_may_not_hold_has_its_own_condition`, `an_encoding_other_than_utf_8_is_unsupported_and_a_byte_order_mark_is_a_character`, `an_initiating_entity_tells_a_host_what_is_wrong_with_its_xml` |
//! | 68 | 4.9.1.1, 4.9.2 M | an error is followed by a closing tag and answered by one; unknown ones are undefined | `a_stream_error_is_answered_by_the_closing_tag_alone`, `an_error_of_an_unknown_condition_is_undefined_whatever_its_text_says`, `an_error_of_ours_is_followed_by_the_closing_tag_and_the_end` |
//! | 69 | 4.4 M | a closing tag is answered by one, `close_notify` too; what still comes is read, for a bounded time | `a_closing_tag_is_answered_by_one_and_tls_ends_with_close_notify`, `what_comes_behind_our_closing_tag_is_still_taken`, `a_peer_that_never_answers_our_closing_tag_is_left` |
//! | 70 | 13.12 (4) M | 10,000 bytes of a stanza at least; checked while reading | `ten_thousand_bytes_are_taken_and_one_more_violates_the_policy`, `an_element_without_end_is_refused_as_soon_as_it_is_too_long` |
//! | 71 | 13.12 (1, 2) S | connections in all, and of one address | `one_connection_too_many_of_an_address_is_turned_away_without_a_word`, `a_peer_that_has_authenticated_makes_room_for_the_next`, `makes_one_connection_too_many_wait_until_another_has_ended` |
//! | 72 | 4.6 S | a space after 5 min of silence, or a ping; no error for silence alone | `a_ping_and_then_spaces_keep_a_silent_stream_alive_and_by_default_seldom`, `a_silent_stream_is_closed_without_an_error`, `a_peer_that_does_not_answer_is_told_a_connection_timeout`, `a_silent_peer_that_does_not_acknowledge_is_pinged_and_given_up_when_it_does_not_answer` |
//! | 73 | 4.9.3.19 M | `see-other-host`: the same `to`, names and policy; a bounded number; never in the clear | `another_host_is_asked_for_the_same_domain_and_has_to_prove_the_same_name`, `another_host_that_proves_its_own_name_alone_is_refused`, `another_host_that_is_named_in_the_clear_is_not_dialled`, `a_host_that_sends_round_in_circles_is_left`, `a_redirection_keeps_its_host` |
//! | 74 | XEP-0288 M | both directions: asked for within TLS and before SASL, by another namespace than offered | `a_peer_that_wants_both_directions_is_sent_stanzas_once_it_has_authenticated`, `a_stream_in_both_directions_carries_stanzas_of_its_own_pair_alone`, `a_peer_that_has_not_asked_for_both_directions_is_sent_nothing`, `a_host_may_send_stanzas_of_its_own_domain_where_both_directions_were_asked_for`, `a_host_that_was_not_asked_for_both_directions_may_send_nothing`, `both_directions_are_asked_for_within_tls_and_before_sasl`, `both_directions_are_not_offered_before_tls`, `both_directions_are_refused_where_they_were_not_offered`, `both_directions_are_refused_once_sasl_has_begun`, `the_namespace_of_the_feature_is_not_that_of_the_request` |
//! | 75 | XEP-0198 | acknowledgements modulo 2^32; too high a count is an error with its own condition | `a_request_is_answered_with_the_number_of_stanzas_that_were_handled`, `an_acknowledgement_of_more_than_was_sent_is_an_undefined_condition_with_its_count`, `acknowledgements_that_were_not_offered_are_unsupported`, `acknowledgements_are_enabled_where_they_are_offered_and_asked_for`, `answers_a_request_at_once_with_the_count_of_handled_stanzas`, `counts_modulo_two_to_the_power_of_32`, `an_acknowledgement_of_more_than_was_sent_is_an_undefined_condition_with_its_own`, `a_peer_that_could_not_resume_is_sent_nothing_before_it_asks_for_acknowledgements` |
//! | 76 | XEP-0478 | what the peer would not take comes back, and the stream stays; ours is told | `a_stanza_larger_than_the_peer_takes_comes_back_and_the_stream_stays`, `the_last_features_tell_what_is_taken`, `what_a_peer_takes_by_its_own_stream_is_kept_too`, `the_request_for_both_directions_tells_what_is_accepted` |

#[cfg(feature = "net")]
pub mod config;
#[cfg(feature = "net")]
pub mod dane;
pub mod dialback;
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
#[cfg(feature = "net")]
mod live_trust;
pub mod negotiation;
pub mod policy;
#[cfg(feature = "posh")]
pub mod posh;
mod printable;
#[cfg(feature = "net")]
mod random;
#[cfg(feature = "net")]
pub mod resolver;
mod sasl;
#[cfg(feature = "net")]
pub mod statistics;
pub mod target;
#[cfg(feature = "net")]
pub mod vouching;

pub use error::{NegotiationFailure, Stage};
pub use identity::{
    IdentityError, IdentityVerifier, PeerIdentity, PinError, SpkiPin, Trust, TrustAnchors, TrustError, TrustGroup,
};
pub use negotiation::{Authzid, Established, Initiating, InitiatingConfig, Receiving, ReceivingConfig};
pub use policy::{DomainPattern, DomainPolicy, Rate, RateRule};
pub use target::{Located, Service, SrvRecord, Target};

#[cfg(feature = "net")]
pub use config::{Backoff, FederationConfig, LocalDomain, PersistentLink, Timeouts};
#[cfg(feature = "net")]
pub use dane::{DaneError, DaneResolver, DnssecAnchors, DnssecAnchorsError};
#[cfg(feature = "net")]
pub use dialer::{DialError, DialReport, Fault, FaultCode};
#[cfg(feature = "net")]
pub use federation::{Federation, FederationError};
#[cfg(feature = "posh")]
pub use posh::{PoshClient, PoshFetchError};
#[cfg(feature = "net")]
pub use resolver::{DnsResolver, Family, ResolveError, Resolver};
#[cfg(feature = "net")]
pub use statistics::{DialbackStatistics, EvidenceStatistics, LinkState, LinkStatistics};
#[cfg(feature = "net")]
pub use vouching::{EvidenceError, EvidenceRule, EvidenceSource};
