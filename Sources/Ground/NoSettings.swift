// Settings of what has none.

/// The settings of something that takes no options.
public struct NoSettings: DescribedSettings {
    /// Nothing.
    public init() {}
    /// None.
    public static let options = OptionList<NoSettings>([])
}
