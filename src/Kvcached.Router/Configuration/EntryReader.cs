using System.Collections.Immutable;
using System.Globalization;
using Kvcached.Core.Units;
using Kvcached.Router.Models;

namespace Kvcached.Router.Configuration;

/// <summary>Reads values of one entry; what isn't allowed becomes an error, with a stand-in in its place so that the rest is looked at too.</summary>
internal sealed class EntryReader(string place, List<string> errors)
{
    public void Refuse(string key, string? value, string allowed) => errors.Add($"{place}: {key} '{value}' is not allowed; allowed: {allowed}.");

    public string Name(string key, string? value, int maxLength)
    {
        if (!string.IsNullOrWhiteSpace(value) && value.Length <= maxLength && !value.Any(char.IsControl))
        {
            return value;
        }

        Refuse(key, value, $"1 to {maxLength} characters");
        return string.Empty;
    }

    public int Number(string key, int value, int min, int max)
    {
        if (value < min || value > max)
        {
            Refuse(key, value.ToString(CultureInfo.InvariantCulture), $"{min} to {max}");
        }

        return value;
    }

    public TimeSpan Time(string key, string? value, TimeSpan min, TimeSpan max)
    {
        if (DurationText.TryParse(value ?? string.Empty, out var time) && time >= min && time <= max)
        {
            return time;
        }

        Refuse(key, value, $"{DurationText.Format(min)} to {DurationText.Format(max)}, such as 30s");
        return min;
    }

    public string Path(string key, string? value)
    {
        if (value is { Length: > 0 and <= 1024 } && value[0] == '/' && Uri.TryCreate(value, UriKind.Relative, out _) && !value.StartsWith("//", StringComparison.Ordinal))
        {
            return value;
        }

        Refuse(key, value, "a path that begins with /");
        return "/";
    }

    public ImmutableArray<Uri> Addresses(string key, List<string?> values, int maxCount)
    {
        if (values.Count == 0 || values.Count > maxCount)
        {
            Refuse(key, $"({values.Count} addresses)", $"1 to {maxCount} addresses");
        }

        var addresses = ImmutableArray.CreateBuilder<Uri>();
        foreach (var value in values)
        {
            if (!Uri.TryCreate(value, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https") || address.UserInfo.Length > 0
                || address.Query.Length > 0 || address.Fragment.Length > 0)
            {
                Refuse(key, value, "http:// or https://, host, port and perhaps a path");
            }
            else if (addresses.Contains(address))
            {
                Refuse(key, value, "each address once");
            }
            else
            {
                addresses.Add(address);
            }
        }

        return addresses.ToImmutable();
    }

    public ImmutableArray<DailySpan> Schedule(string key, List<string?> values)
    {
        var spans = ImmutableArray.CreateBuilder<DailySpan>();
        foreach (var value in values)
        {
            var ends = (value ?? string.Empty).Split('-', StringSplitOptions.TrimEntries);
            if (ends.Length == 2 && TryReadTime(ends[0], out var from) && TryReadTime(ends[1], out var until) && from != until)
            {
                spans.Add(new DailySpan(from, until));
            }
            else
            {
                Refuse(key, value, "two different times of the day, UTC, such as 22:00-06:00");
            }
        }

        return spans.ToImmutable();
    }

    private static bool TryReadTime(string text, out TimeOnly time) => TimeOnly.TryParseExact(text, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out time);
}
