//! The features of XEP-0060, section 11, as far as this service has or refuses them.

macro_rules! features {
    ($($variant:ident = $text:literal,)*) => {
        /// A feature of publish-subscribe, by its name in the registry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Feature { $($variant,)* }

        impl Feature {
            /// The name, without the namespace before it.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

features! {
    AccessOpen = "access-open",
    ConfigNode = "config-node",
    CreateAndConfigure = "create-and-configure",
    CreateNodes = "create-nodes",
    DeleteItems = "delete-items",
    DeleteNodes = "delete-nodes",
    InstantNodes = "instant-nodes",
    ItemIds = "item-ids",
    ManageSubscriptions = "manage-subscriptions",
    MemberAffiliation = "member-affiliation",
    MetaData = "meta-data",
    ModifyAffiliations = "modify-affiliations",
    OutcastAffiliation = "outcast-affiliation",
    PersistentItems = "persistent-items",
    Publish = "publish",
    PublishOnlyAffiliation = "publish-only-affiliation",
    PublishOptions = "publish-options",
    PublisherAffiliation = "publisher-affiliation",
    PurgeNodes = "purge-nodes",
    RetractItems = "retract-items",
    RetrieveAffiliations = "retrieve-affiliations",
    RetrieveItems = "retrieve-items",
    RetrieveSubscriptions = "retrieve-subscriptions",
    Subscribe = "subscribe",
    SubscriptionOptions = "subscription-options",
}

/// What disco#info of the service lists (XEP-0060, section 5.1).
pub(crate) const SUPPORTED: &[Feature] = &[
    Feature::AccessOpen,
    Feature::CreateNodes,
    Feature::DeleteItems,
    Feature::DeleteNodes,
    Feature::InstantNodes,
    Feature::ItemIds,
    Feature::MemberAffiliation,
    Feature::MetaData,
    Feature::ModifyAffiliations,
    Feature::OutcastAffiliation,
    Feature::PersistentItems,
    Feature::Publish,
    Feature::PublishOnlyAffiliation,
    Feature::PublisherAffiliation,
    Feature::RetractItems,
    Feature::RetrieveItems,
    Feature::Subscribe,
];
