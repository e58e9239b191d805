using System.Globalization;
using Kvcached.Core.Units;

namespace Kvcached.Host.Options;

/// <summary>Reads single settings and collects what is wrong: the key, the value, where it stood and what is allowed.</summary>
internal sealed class SettingReader(SettingValues values)
{
    public List<string> Errors { get; } = [.. values.Errors];

    public string? Text(string key) => values.Find(key)?.Texts[0];

    public bool Switch(string key)
    {
        switch (Text(key)?.ToUpperInvariant())
        {
            case "TRUE" or "ON" or "YES" or "1":
                return true;
            case null or "FALSE" or "OFF" or "NO" or "0":
                return false;
            default:
                RefuseValue(key, "true or false");
                return false;
        }
    }

    public T Parsed<T>(string key, T defaultValue, Func<string, T?> parse, string allowed)
    {
        if (Text(key) is not { } text)
        {
            return defaultValue;
        }

        var value = parse(text);
        if (value is null)
        {
            RefuseValue(key, allowed);
            return defaultValue;
        }

        return value;
    }

    public int Integer(string key, int defaultValue, int min, int max, string alternative = "")
    {
        if (Text(key) is not { } text)
        {
            return defaultValue;
        }

        if (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max)
        {
            return number;
        }

        RefuseValue(key, $"{min} to {max}{alternative}");
        return defaultValue;
    }

    /// <summary>A share, above 0 and up to 1, or 0 where that is allowed.</summary>
    public double Share(string key, double defaultValue, bool isZeroAllowed = false)
    {
        if (Text(key) is not { } text)
        {
            return defaultValue;
        }

        if (double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var share) && share is >= 0 and <= 1 && (share > 0 || isZeroAllowed))
        {
            return share;
        }

        RefuseValue(key, isZeroAllowed ? "0 to 1" : "a number above 0, up to 1");
        return defaultValue;
    }

    public TimeSpan Time(string key, TimeSpan defaultValue, TimeSpan min, TimeSpan max, bool isZeroAllowed = false)
    {
        if (Text(key) is not { } text)
        {
            return defaultValue;
        }

        if (DurationText.TryParse(text, out var time) && ((time >= min && time <= max) || (isZeroAllowed && time == TimeSpan.Zero)))
        {
            return time;
        }

        RefuseValue(key, $"{(isZeroAllowed ? "0, or " : "")}{DurationText.Format(min)} to {DurationText.Format(max)}");
        return defaultValue;
    }

    public IReadOnlyList<string> List(string key, Func<string, bool> isValid, string allowed)
    {
        var value = values.Find(key);
        foreach (var text in value?.Texts ?? [])
        {
            if (!isValid(text))
            {
                Errors.Add($"{key}: '{text}' ({value!.Source}) is not allowed; allowed: {allowed}.");
            }
        }

        return value?.Texts ?? [];
    }

    /// <summary>Refuses a value that is fine by itself.</summary>
    public void Refuse(string key, string why)
    {
        var value = values.Find(key);
        Errors.Add(value is null ? $"{key}: the default {why}." : $"{key}: '{value.Texts[0]}' ({value.Source}) {why}.");
    }

    private void RefuseValue(string key, string allowed)
    {
        var value = values.Find(key)!;
        Errors.Add($"{key}: '{value.Texts[0]}' ({value.Source}) is not allowed; allowed: {allowed}.");
    }
}
