namespace Kvcached.Host.Options;

/// <summary>The values of settings from all sources, each with where it came from; a later source replaces an earlier one.</summary>
internal sealed class SettingValues
{
    private readonly Dictionary<string, SettingValue> _values = new(StringComparer.Ordinal);

    public List<string> Errors { get; } = [];

    public SettingValue? Find(string key) => _values.GetValueOrDefault(key);

    public void Set(string key, SettingValue value) => _values[key] = value;

    /// <summary>Takes one source in. Names that are no setting become errors.</summary>
    public void AddSource(string source, IEnumerable<KeyValuePair<string, IReadOnlyList<string>>> values)
    {
        foreach (var (name, texts) in values)
        {
            var setting = HostSettingCatalog.Find(name);
            if (setting is null)
            {
                Errors.Add($"{name} ({source}) is no setting; --help lists them all.");
            }
            else if (!setting.IsRepeatable && texts.Count != 1)
            {
                Errors.Add($"{setting.Key} ({source}) takes one value, not {texts.Count}.");
            }
            else
            {
                Set(setting.Key, new SettingValue(texts, source));
            }
        }
    }
}

/// <param name="Texts">What was written; one text unless the setting is repeatable.</param>
/// <param name="Source">Where, for messages.</param>
internal sealed record SettingValue(IReadOnlyList<string> Texts, string Source);
