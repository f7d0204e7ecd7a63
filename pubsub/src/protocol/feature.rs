//! The features of XEP-0060, section 11, as far as this service has or refuses them.

use crate::PubSubConfig;
use crate::config::{AccessModel, Creators, SendLast};

macro_rules! features {
    ($($variant:ident = $text:literal,)*) => {
        /// A feature of publish-subscribe, by its name in the registry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Feature { $($variant,)* }

        impl Feature {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, without the namespace before it.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

features! {
    AccessAuthorize = "access-authorize",
    AccessOpen = "access-open",
    AccessPresence = "access-presence",
    AccessRoster = "access-roster",
    AccessWhitelist = "access-whitelist",
    AutoCreate = "auto-create",
    AutoSubscribe = "auto-subscribe",
    Collections = "collections",
    ConfigNode = "config-node",
    ConfigNodeMax = "config-node-max",
    CreateAndConfigure = "create-and-configure",
    CreateNodes = "create-nodes",
    DeleteItems = "delete-items",
    DeleteNodes = "delete-nodes",
    FilteredNotifications = "filtered-notifications",
    GetPending = "get-pending",
    InstantNodes = "instant-nodes",
    ItemIds = "item-ids",
    LastPublished = "last-published",
    LeasedSubscription = "leased-subscription",
    ManageSubscriptions = "manage-subscriptions",
    MemberAffiliation = "member-affiliation",
    MetaData = "meta-data",
    ModifyAffiliations = "modify-affiliations",
    MultiItems = "multi-items",
    MultiSubscribe = "multi-subscribe",
    OutcastAffiliation = "outcast-affiliation",
    PersistentItems = "persistent-items",
    PresenceNotifications = "presence-notifications",
    Publish = "publish",
    PubSubOnAJid = "pubsub-on-a-jid",
    PublishNodeFull = "publish-node-full",
    PublishOnlyAffiliation = "publish-only-affiliation",
    PublishOptions = "publish-options",
    PublisherAffiliation = "publisher-affiliation",
    PurgeNodes = "purge-nodes",
    RetractItems = "retract-items",
    RetrieveAffiliations = "retrieve-affiliations",
    RetrieveDefault = "retrieve-default",
    RetrieveDefaultSub = "retrieve-default-sub",
    RetrieveItems = "retrieve-items",
    RetrieveSubscriptions = "retrieve-subscriptions",
    ResultSets = "rsm",
    Since = "since",
    Subscribe = "subscribe",
    SubscriptionNotifications = "subscription-notifications",
    SubscriptionOptions = "subscription-options",
}

impl Feature {
    /// What disco#info of a service lists (XEP-0060, section 5.1).
    pub(crate) fn supported(config: &PubSubConfig) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|feature| feature.is_supported(config))
    }

    fn is_supported(self, config: &PubSubConfig) -> bool {
        let model = config.node.access_model;
        match self {
            // Each of these says which access model is the default: all of them are supported (section 11).
            Self::AccessAuthorize => model == AccessModel::Authorize,
            Self::AccessOpen => model == AccessModel::Open,
            Self::AccessPresence => model == AccessModel::Presence,
            Self::AccessRoster => model == AccessModel::Roster,
            Self::AccessWhitelist => model == AccessModel::Whitelist,
            Self::AutoCreate => config.auto_create && config.creators.may_exist(),
            Self::CreateNodes | Self::CreateAndConfigure => config.creators.may_exist(),
            Self::InstantNodes => config.instant_nodes && config.creators.may_exist(),
            Self::MultiSubscribe => config.multi_subscribe,
            // Whoever sees the presence of an account follows its nodes without a subscription.
            Self::AutoSubscribe | Self::FilteredNotifications | Self::PubSubOnAJid => {
                config.creators == Creators::Account
            }
            Self::Collections => false,
            Self::LastPublished => config.node.send_last_published_item == SendLast::OnSubscribeAndPresence,
            _ => true,
        }
    }
}
