using System.Globalization;

namespace Kvcached.Host.Gateway;

/// <summary>Finds groups by name in <c>/etc/group</c>; a number stands for itself.</summary>
internal static class GroupFile
{
    private const string Path = "/etc/group";

    /// <summary>The group's number, or null when there is none of that name.</summary>
    public static uint? Find(string name)
    {
        if (uint.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            return number;
        }

        try
        {
            foreach (var line in File.ReadLines(Path))
            {
                var fields = line.Split(':');
                if (fields.Length >= 3 && fields[0] == name && uint.TryParse(fields[2], NumberStyles.None, CultureInfo.InvariantCulture, out number))
                {
                    return number;
                }
            }
        }
        catch (IOException)
        {
            // A container without that file knows no groups by name.
        }

        return null;
    }
}
