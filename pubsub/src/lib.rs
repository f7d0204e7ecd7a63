//! The publish-subscribe service of Convoke (XEP-0060): a pure broker and its protocol mapping.
//!
//! Five rooms, each of which knows only those before it:
//!
//! * `state`: nodes, their subscriptions, affiliations and items in memory, and the journal of their changes, which go to
//!   a store and can be taken back.
//! * `broker`: what may be done with them, and by whom. Operations go in, an answer and notifications come out. It knows
//!   no XML beyond the opaque payload of an item.
//! * `protocol`: what stanzas mean as operations, and what answers, refusals and events look like on the wire.
//! * `delivery`: the way out, from one change of a node to the messages of all its subscribers.
//! * `service`: [`PubSubService`], the entity that takes stanzas, has the store keep what they change, and gives its
//!   answers to a router.
//!
//! [`client`] is the other side: payloads of requests, and events read from notifications.
//!
//! There is no I/O and no task in here. Time comes from a [`Clock`].
//!
//! # The examples of XEP-0060 and their tests
//!
//! The numbered examples of XEP-0060, version 1.30, are what the service is built to; every test below has its example,
//! or several, as literal XML or in a table of requests and conditions. `tests/examples.rs` keeps this table true.
//!
//! | examples | tests |
//! |---|---|
//! | 7, 8 | `the_service_tells_its_identity_and_the_features_it_has` |
//! | 9, 10 | `the_service_lists_its_nodes` |
//! | 11 to 14 | `a_node_tells_that_it_is_a_leaf_and_whose` |
//! | 15 | `a_node_lists_its_items_without_a_node_attribute` |
//! | 16, 17 | `an_entity_retrieves_its_subscriptions` |
//! | 18 | `who_has_neither_subscriptions_nor_affiliations_is_given_empty_lists` |
//! | 19 | left out: what a service answers that lacks a feature; this one has it |
//! | 20, 21 | `an_entity_retrieves_its_subscriptions` |
//! | 22, 23 | `an_entity_retrieves_its_affiliations` |
//! | 24 | `who_has_neither_subscriptions_nor_affiliations_is_given_empty_lists` |
//! | 25 | left out: what a service answers that lacks a feature; this one has it |
//! | 26, 27 | `an_entity_retrieves_its_affiliations` |
//! | 28, 29 | `an_entity_subscribes_to_a_node` |
//! | 30 | `an_entity_subscribes_nobody_else` |
//! | 31 to 33 | `who_is_not_admitted_does_not_subscribe_and_learns_why` |
//! | 34 | left out: nobody pays for anything here |
//! | 35 | left out: no stanza tells that its sender is anonymous |
//! | 36 | `a_subscription_waits_for_the_approval_of_an_owner` |
//! | 37 | `who_is_not_admitted_does_not_subscribe_and_learns_why` |
//! | 38 | `a_node_has_no_more_subscriptions_than_allowed` |
//! | 39 | `a_node_that_takes_no_subscriptions_says_so` |
//! | 40 | `who_subscribes_to_a_node_that_has_moved_learns_where_to` |
//! | 41 | `subscribing_to_a_node_that_does_not_exist_fails` |
//! | 42 | `a_subscription_waits_for_the_approval_of_an_owner` |
//! | 43 to 45 | left out: the default options do for everybody, so that no subscription waits to be configured |
//! | 46 | `a_new_subscriber_is_sent_the_last_published_item_and_nobody_else_is`, `the_last_item_is_sent_to_a_subscriber_that_becomes_available` |
//! | 47, 48 | `a_subscriber_unsubscribes_and_hears_no_more` |
//! | 49 | `who_has_several_subscriptions_says_which_and_says_it_right` |
//! | 50 | `who_is_no_subscriber_cannot_unsubscribe` |
//! | 51, 52 | `a_wrong_request_of_a_subscriber_is_refused_with_its_own_condition` |
//! | 53 | `who_has_several_subscriptions_says_which_and_says_it_right` |
//! | 54 | `the_service_tells_its_identity_and_the_features_it_has` |
//! | 55, 56 | `a_subscriber_is_shown_the_options_and_what_is_chosen` |
//! | 57 | `a_wrong_request_for_options_is_refused_with_its_own_condition` |
//! | 58 | `who_is_no_subscriber_has_no_options` |
//! | 59 | `a_wrong_request_for_options_is_refused_with_its_own_condition` |
//! | 60, 61 | `who_has_several_subscriptions_says_which_and_says_it_right` |
//! | 62 | left out: what a service answers that lacks a feature; this one has it |
//! | 63 | `a_wrong_request_for_options_is_refused_with_its_own_condition` |
//! | 64, 65 | `a_subscriber_chooses_options` |
//! | 66 | `a_wrong_request_for_options_is_refused_with_its_own_condition` |
//! | 67, 68 | `an_entity_subscribes_and_chooses_options_at_once` |
//! | 69 to 71 | `the_default_options_are_told_to_everybody` |
//! | 72, 73 | left out: what a service answers that lacks a feature; this one has it |
//! | 74, 75 | `items_are_returned_in_the_order_of_their_publication` |
//! | 76 | `an_answer_holds_no_more_bytes_than_allowed`, `items_are_returned_page_by_page` |
//! | 77 | `a_transient_node_returns_the_last_published_item` |
//! | 78, 79 | `a_particular_item_is_returned_with_its_payload_as_it_was_published`, `the_payload_that_a_notification_leaves_out_can_be_retrieved` |
//! | 80, 81 | `items_are_returned_in_the_order_of_their_publication` |
//! | 82 | `a_node_without_items_and_a_missing_item_give_an_empty_list`, `items_are_returned_in_the_order_of_their_publication` |
//! | 83 | `a_particular_item_is_returned_with_its_payload_as_it_was_published`, `items_are_returned_in_the_order_of_their_publication` |
//! | 84, 85 | `who_has_several_subscriptions_says_which_and_says_it_right` |
//! | 86 | `who_is_not_admitted_retrieves_no_items_and_learns_why` |
//! | 87 | `a_transient_node_has_no_items_to_retrieve_to_retract_or_to_purge` |
//! | 88 | left out: what a service answers that lacks a feature; this one has it |
//! | 89 to 91 | `who_is_not_admitted_retrieves_no_items_and_learns_why` |
//! | 92 | left out: nobody pays for anything here |
//! | 93 | `who_is_not_admitted_retrieves_no_items_and_learns_why` |
//! | 94 | `a_wrong_request_of_a_subscriber_is_refused_with_its_own_condition` |
//! | 95 | `a_node_without_items_and_a_missing_item_give_an_empty_list` |
//! | 96 | `a_publisher_publishes_an_item_and_every_subscriber_is_notified` |
//! | 97 | `an_item_without_an_id_is_given_one` |
//! | 98 | `a_publisher_publishes_an_item_and_every_subscriber_is_notified` |
//! | 99 | `an_item_without_an_id_is_given_one` |
//! | 100 | `a_publisher_publishes_an_item_and_every_subscriber_is_notified` |
//! | 101 | `a_notification_holds_what_its_kind_of_node_tells`, `an_item_of_a_node_without_payloads_has_none` |
//! | 102, 103 | `the_publisher_is_named_where_the_service_is_told_so` |
//! | 104 | `one_notification_of_an_item_names_all_subscriptions_of_its_recipient` |
//! | 105 | `a_wrong_publication_is_refused_with_its_own_condition`, `who_is_no_publisher_may_not_publish` |
//! | 106 | left out: there are no collections, and all leaves take publications |
//! | 107 | `a_wrong_publication_is_refused_with_its_own_condition` |
//! | 108 | `a_full_node_does_what_it_is_configured_to_do` |
//! | 109 | `a_node_limits_its_payloads_itself`, `a_wrong_publication_is_refused_with_its_own_condition` |
//! | 110 | `a_node_with_a_type_takes_payloads_of_that_namespace_alone`, `a_wrong_publication_is_refused_with_its_own_condition` |
//! | 111, 112 | `a_node_takes_the_publications_of_its_kind`, `a_wrong_publication_is_refused_with_its_own_condition` |
//! | 113 | `a_node_takes_the_publications_of_its_kind` |
//! | 114 | `a_wrong_publication_is_refused_with_its_own_condition`, `publish_options_are_preconditions` |
//! | 115 to 117 | `a_publisher_retracts_an_item_and_the_subscribers_are_notified` |
//! | 118 | `one_notification_of_an_item_names_all_subscriptions_of_its_recipient` |
//! | 119 to 122 | `a_wrong_retraction_is_refused_with_its_own_condition` |
//! | 123 | `a_transient_node_has_no_items_to_retrieve_to_retract_or_to_purge` |
//! | 124 | left out: what a service answers that lacks a feature; this one has it |
//! | 125 | `a_node_is_created_once` |
//! | 126 | `a_service_where_nobody_creates_nodes_does_not_support_it` |
//! | 127 | left out: nobody registers with the service; who may create nodes is known by its domain |
//! | 128 | `by_default_only_local_entities_of_the_own_domain_create_nodes` |
//! | 129 | `a_node_is_created_once` |
//! | 130 | `a_service_without_instant_nodes_asks_for_a_name` |
//! | 131, 132 | `an_instant_node_is_given_a_name_of_its_own` |
//! | 133 | `a_node_is_created_once` |
//! | 134, 135 | `a_node_is_created_and_configured_at_once` |
//! | 136 | `a_node_that_cannot_be_configured_so_is_not_created` |
//! | 137, 138 | `a_node_is_created_and_configured_at_once` |
//! | 139, 140 | `an_owner_is_shown_the_configuration` |
//! | 141 | left out: what a service answers that lacks a feature; this one has it |
//! | 142, 143 | `a_wrong_configuration_is_refused_with_its_own_condition_and_changes_nothing` |
//! | 144 | left out: an owner may always change some of a node's configuration |
//! | 145 | `a_wrong_configuration_is_refused_with_its_own_condition_and_changes_nothing` |
//! | 146 | `an_owner_configures_a_node` |
//! | 147 | `an_owner_cancels_the_configuration` |
//! | 148 | `an_owner_configures_a_node` |
//! | 149 | `a_wrong_configuration_is_refused_with_its_own_condition_and_changes_nothing` |
//! | 150, 151 | `subscribers_hear_of_a_changed_configuration_where_the_node_says_so` |
//! | 152 | `everybody_is_shown_the_default_configuration` |
//! | 153 | `only_leaves_have_a_default_configuration` |
//! | 154 | `everybody_is_shown_the_default_configuration` |
//! | 155, 156 | left out: what a service answers that lacks a feature; this one has it |
//! | 157 | `a_node_that_does_not_tell_of_its_deletion_is_deleted_in_silence` |
//! | 158 to 160 | `an_owner_deletes_a_node_and_the_subscribers_are_notified` |
//! | 161, 162 | `only_an_owner_deletes_a_node_and_only_one_that_exists` |
//! | 163 to 165 | `an_owner_purges_a_node_and_the_subscribers_are_notified_once` |
//! | 166 | left out: what a service answers that lacks a feature; this one has it |
//! | 167 | `only_an_owner_purges_a_node_and_only_one_that_exists` |
//! | 168 | `a_transient_node_has_no_items_to_retrieve_to_retract_or_to_purge` |
//! | 169 | `only_an_owner_purges_a_node_and_only_one_that_exists` |
//! | 170 | `a_subscription_waits_for_the_approval_of_an_owner` |
//! | 171, 172 | `an_owner_approves_a_subscription` |
//! | 173, 174 | `an_owner_denies_a_subscription` |
//! | 175 | `a_subscription_stays_pending_when_an_owner_cancels_the_form` |
//! | 176, 177 | `an_owner_asks_for_the_requests_that_are_pending` |
//! | 178, 179 | left out: what a service answers that lacks a feature; this one has it |
//! | 180, 181 | `a_wrong_command_is_refused_with_its_own_condition` |
//! | 182, 183 | `an_owner_asks_for_the_requests_that_are_pending` |
//! | 184, 185 | `an_owner_retrieves_the_subscriptions` |
//! | 186 | left out: what a service answers that lacks a feature; this one has it |
//! | 187, 188 | `a_wrong_change_of_subscriptions_is_refused_with_its_own_condition` |
//! | 189, 190 | `an_owner_changes_subscriptions_and_those_concerned_hear_of_it` |
//! | 191 | left out: what a service answers that lacks a feature; this one has it |
//! | 192, 193 | `a_wrong_change_of_subscriptions_is_refused_with_its_own_condition` |
//! | 194, 195 | `an_invalid_change_of_subscriptions_is_told_and_the_others_are_made` |
//! | 196 | `an_owner_changes_subscriptions_and_those_concerned_hear_of_it` |
//! | 197, 198 | `an_owner_changes_and_retrieves_affiliations` |
//! | 199 | left out: what a service answers that lacks a feature; this one has it |
//! | 200, 201 | `a_wrong_change_of_affiliations_is_refused_with_its_own_condition` |
//! | 202, 203 | `an_owner_changes_and_retrieves_affiliations` |
//! | 204, 205 | left out: what a service answers that lacks a feature; this one has it |
//! | 206, 207 | `a_wrong_change_of_affiliations_is_refused_with_its_own_condition` |
//! | 208 to 210 | `a_node_keeps_an_owner_and_the_other_changes_are_made` |
//! | 222, 223 | `a_temporary_subscription_ends_with_the_presence_of_the_subscriber` |
//! | 224 | `an_owner_approves_a_subscription` |
//! | 225 | `an_owner_denies_a_subscription` |
//! | 227 | `a_subscription_ends_when_its_lease_does` |
//! | 232 | `a_singleton_node_keeps_the_newest_item_alone` |
//!
//! # The fields of its forms
//!
//! The registry has these fields for the forms of publish-subscribe (section 17.4; the names without `pubsub#`).
//! `tests/registry.rs` keeps this table true.
//!
//! | form | fields | |
//! |---|---|---|
//! | node_config | `access_model`, `contact`, `dataform_xslt`, `deliver_notifications`, `deliver_payloads`, `description`, `item_expire`, `itemreply`, `language`, `max_items`, `max_payload_size`, `notification_type`, `notify_config`, `notify_delete`, `notify_retract`, `notify_sub`, `persist_items`, `presence_based_delivery`, `publish_model`, `publish_node_full`, `purge_offline`, `roster_groups_allowed`, `send_last_published_item`, `subscribe`, `tempsub`, `title`, `type` | served; of `itemreply` not `owner`: an item names who has published it, or nobody |
//! | node_config | `node_type` | left out: taken as `leaf`, and not shown, as there is nothing to choose |
//! | node_config | `body_xslt` | left out: the service would have to run a program that an owner has put somewhere on the web |
//! | publish-options | | left out: it has none of its own; those of node_config are preconditions |
//! | meta-data | `access_model`, `contact`, `creation_date`, `creator`, `description`, `language`, `max_items`, `num_subscribers`, `owner`, `publish_model`, `publisher`, `title`, `type` | served |
//! | subscribe_options | `deliver`, `digest`, `digest_frequency`, `expire`, `show-values` | served |
//! | subscribe_options | `include_body` | left out: the service knows no payload well enough to make a text of it (section 13.8) |
//! | subscribe_options | `subscription_type`, `subscription_depth` | left out: they are for collections |
//! | subscribe_authorization | `allow`, `node`, `subscriber_jid`, `subid` | served |

mod broker;
pub mod client;
mod config;
mod contacts;
mod delivery;
mod form;
mod ids;
mod protocol;
mod service;
mod state;
mod timestamp;

/// The namespace of the position of a node: how far its history has come.
pub(crate) const POSITION: &str = "urn:convoke:pubsub:0";

pub use config::{
    AccessModel, Creators, ItemReply, NodeConfig, NodeFull, NotificationType, PubSubConfig, PublishModel, SendLast,
};
pub use contacts::{Contacts, NoContacts};
pub use delivery::{DeliveryConfig, PubSubStatistics};
pub use protocol::{is_approval, personal_features, personal_identity};
pub use service::{Clock, PubSubService, SystemClock};
pub use state::OpenError;
